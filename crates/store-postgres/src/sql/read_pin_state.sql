SELECT pins, changes FROM pin_state WHERE one = 1

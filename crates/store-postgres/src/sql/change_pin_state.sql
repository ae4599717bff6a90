UPDATE pin_state SET pins = pins + $1, changes = changes + 1 WHERE one = 1
RETURNING pins

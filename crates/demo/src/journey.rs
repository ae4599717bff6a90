//! What customers do, and which hops each of it must show.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde_json::{Value, json};

use crate::gateway::CartItem;
use crate::inventory::{BROKEN, SKUS, SOLD_OUT};
use crate::orders::Wish;
use crate::orders::store::{CUSTOMERS, ORDERS_PER_PAGE};
use crate::payments::{CARD_DECLINED, CARD_GOOD, CARD_SLOW, CARD_TIMEOUT};
use crate::shop::{GATEWAY, INVENTORY, NOTIFICATIONS, ORDERS, PAYMENTS, WORKER};

/// A service and the name of its SERVER or CONSUMER span.
pub(crate) type Hop = (&'static str, &'static str);

/// One kind of request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Journey {
    Browse,
    Look,
    Search,
    AddToCart,
    Checkout,
    /// The bank takes its time.
    CheckoutSlow,
    /// The page with one query too many for each order.
    Account,
    ReadOrder,
    /// The card is declined: 402.
    Declined,
    /// The bank does not answer: 504.
    BankTimeout,
    /// Sold out: 409.
    SoldOut,
    /// Inventory fails: 502.
    LedgerBroken,
    /// No such product: 404.
    Missing,
}

use Journey::{
    Account, AddToCart, BankTimeout, Browse, Checkout, CheckoutSlow, Declined, LedgerBroken, Look,
    Missing, ReadOrder, Search, SoldOut,
};

/// How many of each are in a deck of 200: six, 3 %, do not end in success.
const DECK: [(Journey, usize); 13] = [
    (Browse, 44),
    (Look, 46),
    (Search, 6),
    (AddToCart, 24),
    (Checkout, 34),
    (CheckoutSlow, 4),
    (Account, 16),
    (ReadOrder, 20),
    (Declined, 2),
    (BankTimeout, 1),
    (SoldOut, 1),
    (LedgerBroken, 1),
    (Missing, 1),
];

/// Deals journeys in their proportions, in a random order, deck after deck.
#[derive(Debug, Default)]
pub(crate) struct Deck {
    cards: Vec<Journey>,
}

impl Deck {
    pub(crate) fn deal(&mut self, rng: &mut impl Rng) -> Journey {
        if self.cards.is_empty() {
            let all = DECK
                .iter()
                .flat_map(|(journey, count)| std::iter::repeat_n(*journey, *count));
            self.cards.extend(all);
            self.cards.shuffle(rng);
        }
        self.cards.pop().expect("a fresh deck is not empty")
    }
}

/// A request as it is sent to the gateway.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    pub(crate) hops: Vec<Hop>,
}

impl Journey {
    /// Fills in who and what.
    pub(crate) fn plan(self, rng: &mut impl Rng) -> Plan {
        let sku = SKUS.choose(rng).copied().unwrap_or(SKUS[0]);
        let customer = rng.random_range(1..=CUSTOMERS);
        let quantity = rng.random_range(1..=3);
        let get = |path: String| ("GET", path, None);
        let checkout = |sku: &str, card: &str| {
            let customer = format!("customer-{customer}");
            let wish = Wish {
                customer,
                sku: sku.to_owned(),
                quantity,
                card: card.to_owned(),
            };
            ("POST", "/checkout".to_owned(), Some(json!(wish)))
        };
        let (method, path, body) = match self {
            Browse => get("/products".to_owned()),
            Look => get(format!("/products/{sku}")),
            Missing => get("/products/hat-felt".to_owned()),
            Search => get("/search?q=tea".to_owned()),
            AddToCart => {
                let item = CartItem {
                    sku: sku.to_owned(),
                    quantity,
                };
                ("POST", "/cart/items".to_owned(), Some(json!(item)))
            }
            Checkout => checkout(sku, CARD_GOOD),
            CheckoutSlow => checkout(sku, CARD_SLOW),
            Declined => checkout(sku, CARD_DECLINED),
            BankTimeout => checkout(sku, CARD_TIMEOUT),
            SoldOut => checkout(SOLD_OUT, CARD_GOOD),
            LedgerBroken => checkout(BROKEN, CARD_GOOD),
            Account => get(format!("/account/orders?customer={customer}")),
            // One that was there from the start.
            ReadOrder => get(format!(
                "/orders/{}",
                rng.random_range(1..=CUSTOMERS * ORDERS_PER_PAGE)
            )),
        };
        Plan {
            method,
            path,
            body,
            hops: self.hops(),
        }
    }

    /// Every SERVER and CONSUMER span that the request must have, and no other.
    fn hops(self) -> Vec<Hop> {
        const ENTRY: Hop = (GATEWAY, "POST /checkout");
        const PLACE: Hop = (ORDERS, "POST /orders");
        const RESERVE: Hop = (INVENTORY, "POST /reservations");
        const RELEASE: Hop = (INVENTORY, "DELETE /reservations/{order_id}");
        const CHARGE: Hop = (PAYMENTS, "shop.v1.Payments/Charge");
        const SHIP: Hop = (WORKER, "process shipments");
        const TELL: Hop = (NOTIFICATIONS, "POST /emails");
        match self {
            Browse => vec![(GATEWAY, "GET /products"), (INVENTORY, "GET /stock")],
            Look | Missing => {
                vec![
                    (GATEWAY, "GET /products/{sku}"),
                    (INVENTORY, "GET /stock/{sku}"),
                ]
            }
            Search => vec![(GATEWAY, "GET /search"), (INVENTORY, "GET /stock")],
            AddToCart => vec![
                (GATEWAY, "POST /cart/items"),
                (INVENTORY, "GET /stock/{sku}"),
            ],
            Checkout | CheckoutSlow => vec![ENTRY, PLACE, RESERVE, CHARGE, SHIP, TELL],
            Declined | BankTimeout => vec![ENTRY, PLACE, RESERVE, CHARGE, RELEASE],
            SoldOut | LedgerBroken => vec![ENTRY, PLACE, RESERVE],
            Account => {
                vec![
                    (GATEWAY, "GET /account/orders"),
                    (ORDERS, "GET /customers/{customer}/orders"),
                ]
            }
            ReadOrder => vec![(GATEWAY, "GET /orders/{id}"), (ORDERS, "GET /orders/{id}")],
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_deck_has_each_journey_in_its_proportion_and_three_percent_failures() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut deck = Deck::default();
        let size: usize = DECK.iter().map(|(_, count)| count).sum();
        assert_eq!(size, 200);
        for _ in 0..2 {
            let dealt: Vec<Journey> = (0..size).map(|_| deck.deal(&mut rng)).collect();
            for (journey, count) in DECK {
                let found = dealt.iter().filter(|dealt| **dealt == journey).count();
                assert_eq!(found, count, "{journey:?}");
            }
        }
        let failures = [Declined, BankTimeout, SoldOut, LedgerBroken, Missing];
        let failing: usize = DECK
            .iter()
            .filter(|(j, _)| failures.contains(j))
            .map(|(_, count)| count)
            .sum();
        assert_eq!(failing * 100, size * 3);
    }

    #[test]
    fn the_same_seed_deals_the_same() {
        let deal = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut deck = Deck::default();
            (0..50)
                .map(|_| deck.deal(&mut rng).plan(&mut rng).path)
                .collect::<Vec<_>>()
        };
        assert_eq!(deal(1), deal(1));
        assert_ne!(deal(1), deal(2));
    }
}

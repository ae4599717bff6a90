//! The customers: a steady rate of requests, from outside of the shop.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::gateway::TRACE_HEADER;
use crate::journey::{Deck, Plan};
use crate::shop::Options;

/// Requests under way at once; above, the rate gives way.
const OPEN_MAX: usize = 64;
/// How many of the latest requests are remembered where their number is not limited.
const REMEMBERED: usize = 10_000;
/// The longest an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A request that was answered.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The trace it became: 32 lower-case hexadecimal digits.
    pub trace_id: String,
    /// The HTTP method.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// The HTTP status code of the gateway's answer.
    pub status: u16,
    /// The SERVER and CONSUMER spans that the trace must have, each as service and name, in no order and
    /// with no other beside them. The last may come some time after the answer.
    pub expected_hops: Vec<(&'static str, &'static str)>,
}

/// Sends requests until `stop`, or until there were enough, and waits for all answers.
///
/// A request without an answer is left out, with a warning in the log.
pub(crate) async fn drive(
    gateway: SocketAddr,
    options: &Options,
    stop: impl Future<Output = ()>,
) -> Vec<Sent> {
    let client = reqwest::Client::new();
    let mut rng = StdRng::seed_from_u64(options.seed);
    let mut deck = Deck::default();
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / options.rate_per_s));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left = options.requests;
    let mut open = JoinSet::new();
    let mut sent = Remembered {
        sent: VecDeque::new(),
        limit: options.requests.is_none(),
    };
    let mut stop = pin!(stop);
    while left != Some(0) {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(answered) = open.join_next() => sent.add(answered),
            _ = ticks.tick(), if open.len() < OPEN_MAX => {
                let plan = deck.deal(&mut rng).plan(&mut rng);
                open.spawn(send(client.clone(), gateway, plan));
                left = left.map(|left| left - 1);
            }
        }
    }
    while let Some(answered) = open.join_next().await {
        sent.add(answered);
    }
    sent.sent.into()
}

struct Remembered {
    sent: VecDeque<Sent>,
    limit: bool,
}

impl Remembered {
    fn add(&mut self, answered: Result<anyhow::Result<Sent>, tokio::task::JoinError>) {
        match answered.map_err(anyhow::Error::from).flatten() {
            Ok(sent) => {
                if self.limit && self.sent.len() == REMEMBERED {
                    self.sent.pop_front();
                }
                self.sent.push_back(sent);
            }
            Err(error) => tracing::warn!("a request of the demo got no answer: {error:#}"),
        }
    }
}

async fn send(client: reqwest::Client, gateway: SocketAddr, plan: Plan) -> anyhow::Result<Sent> {
    let url = format!("http://{gateway}{}", plan.path);
    let mut request = if plan.method == "GET" {
        client.get(url)
    } else {
        client.post(url)
    };
    if let Some(body) = &plan.body {
        request = request.json(body);
    }
    let answer = request.timeout(ANSWER_LIMIT).send().await?;
    let trace_id = answer
        .headers()
        .get(TRACE_HEADER)
        .context("the answer has no trace ID")?;
    let trace_id = trace_id.to_str()?.to_owned();
    let status = answer.status().as_u16();
    // The hop ends with the last byte.
    answer.bytes().await?;
    Ok(Sent {
        trace_id,
        method: plan.method,
        path: plan.path,
        status,
        expected_hops: plan.hops,
    })
}

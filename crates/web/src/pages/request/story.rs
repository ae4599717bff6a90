//! What happened, in sentences.

use crate::chrome::named;
use crate::examples::error_text;
use crate::format;
use crate::i18n::Messages;
use crate::rich::{Arg, Html};
use crate::waterfall::Drawing;
use hoplog_model::FirstError;
use hoplog_query::insight::{Finding, Node, Repeat};

/// A sentence with its sign.
#[derive(Debug)]
pub(super) struct Sentence {
    /// `er` for a failure, `wa` for lost time, nothing for the rest.
    pub(super) tone: &'static str,
    pub(super) icon: &'static str,
    pub(super) text: Html,
    /// The rule, so that a reader can disagree with it.
    pub(super) evidence: String,
}

/// Longest statement in a sentence, in characters.
const STATEMENT: usize = 60;

struct Teller<'a> {
    drawing: &'a Drawing<'a>,
    t: &'static Messages,
}

/// The findings as sentences.
pub(super) fn tell(drawing: &Drawing<'_>) -> Vec<Sentence> {
    let teller = Teller {
        drawing,
        t: drawing.t,
    };
    drawing
        .insight
        .findings
        .iter()
        .map(|finding| teller.sentence(finding))
        .collect()
}

/// A duration in a sentence.
fn time(nanos: u64) -> Arg {
    format::duration(nanos).plain().into()
}

impl Teller<'_> {
    fn node(&self, place: usize) -> &Node {
        &self.drawing.insight.tree.nodes[place]
    }

    fn service(&self, place: usize) -> Arg {
        named(&self.node(place).service, self.t).into()
    }

    /// A span's name, as a link to it.
    fn op(&self, place: usize) -> Arg {
        Arg::link(
            self.drawing.pick(place),
            named(&self.node(place).name, self.t),
        )
    }

    fn sentence(&self, finding: &Finding) -> Sentence {
        let (rule, tone, icon) = sign(finding);
        let text = match finding {
            Finding::GaveUp {
                caller,
                call,
                calls,
                longest,
                usual,
            } => self.gave_up(*caller, *call, *calls, *longest, *usual),
            Finding::Failed { place, error } => self.failed(*place, error),
            Finding::Survived { place, error } => self.survived(*place, error),
            other => self.about_time(other),
        };
        let evidence = self.t.text(self.t.rule, &[("rule", rule.into())]);
        Sentence {
            tone,
            icon,
            text,
            evidence,
        }
    }

    fn about_time(&self, finding: &Finding) -> Html {
        let t = self.t;
        match finding {
            Finding::Waited {
                place,
                took,
                of,
                usual,
            } => {
                let args = [
                    ("service", self.service(*place)),
                    ("op", self.op(*place)),
                    ("time", time(*took)),
                    ("total", time(*of)),
                    ("share", format::share(*took, *of).plain().into()),
                    ("p50", time(*usual)),
                ];
                t.html(t.find_waited, &args)
            }
            Finding::Worked { place, took, of } => {
                let args = [
                    ("service", self.service(*place)),
                    ("op", self.op(*place)),
                    ("time", time(*took)),
                    ("total", time(*of)),
                    ("share", format::share(*took, *of).plain().into()),
                ];
                t.html(t.find_worked, &args)
            }
            Finding::Repeated(repeat) => self.repeated(repeat),
            Finding::Gap { place, took } => self.somewhere(t.find_gap, *place, *took),
            Finding::WentOn { place, after } => self.somewhere(t.find_went_on, *place, *after),
            Finding::Orphans { count } => t.html(
                t.find_orphans,
                &[("n", format::count(*count as u64).into())],
            ),
            Finding::NoRoot => t.html(t.find_no_root, &[]),
            Finding::Usual { usual } => t.html(t.find_usual, &[("p50", time(*usual))]),
            Finding::NoOneCause { shares, usual } => self.no_one_cause(shares, *usual),
            Finding::GaveUp { .. } | Finding::Failed { .. } | Finding::Survived { .. } => {
                Html::default()
            }
        }
    }

    fn somewhere(&self, template: &str, place: usize, nanos: u64) -> Html {
        let args = [
            ("service", self.service(place)),
            ("op", self.op(place)),
            ("time", time(nanos)),
        ];
        self.t.html(template, &args)
    }

    fn gave_up(
        &self,
        caller: usize,
        call: usize,
        calls: usize,
        longest: u64,
        usual: Option<u64>,
    ) -> Html {
        let t = self.t;
        let args = [
            ("caller", self.service(caller)),
            ("callee", self.service(self.answering(call))),
            ("op", self.op(call)),
            ("n", calls.to_string().into()),
            ("time", time(longest)),
        ];
        let said = t.html(t.find_gave_up, &args);
        match usual {
            Some(usual) => {
                let usually = t.html(t.find_usually, &[("p50", time(usual))]);
                Html::trusted(format!("{said} {usually}"))
            }
            None => said,
        }
    }

    /// Who answers a call: the service of the first hop below it, else the caller itself.
    fn answering(&self, call: usize) -> usize {
        let children = &self.node(call).children;
        children
            .iter()
            .copied()
            .find(|child| self.node(*child).kind.is_hop())
            .unwrap_or(call)
    }

    fn failed(&self, place: usize, error: &FirstError) -> Html {
        let (with, without) = (self.t.find_failed, self.t.find_failed_bare);
        self.with_error(place, error, with, without)
    }

    fn survived(&self, place: usize, error: &FirstError) -> Html {
        let (with, without) = (self.t.find_survived, self.t.find_survived_bare);
        self.with_error(place, error, with, without)
    }

    fn with_error(&self, place: usize, error: &FirstError, with: &str, without: &str) -> Html {
        let t = self.t;
        let mut args = vec![("service", self.service(place)), ("op", self.op(place))];
        if error.kind.is_empty() && error.message.is_empty() {
            return t.html(without, &args);
        }
        args.push(("message", error_text(error, t).into()));
        t.html(with, &args)
    }

    fn repeated(&self, repeat: &Repeat) -> Html {
        let t = self.t;
        let first = repeat.calls.first().copied().unwrap_or(repeat.parent);
        let what = clipped(&repeat.what, STATEMENT);
        let args = [
            ("service", self.service(repeat.parent)),
            ("op", Arg::link(self.drawing.pick(first), what)),
            ("n", repeat.calls.len().to_string().into()),
            ("time", time(repeat.total)),
        ];
        t.html(
            if repeat.is_statement {
                t.find_repeated_sql
            } else {
                t.find_repeated
            },
            &args,
        )
    }

    fn no_one_cause(&self, shares: &[(usize, u64)], usual: Option<u64>) -> Html {
        let t = self.t;
        if shares.is_empty() {
            return t.html(t.find_alone, &[]);
        }
        let list = shares.iter().map(|(place, nanos)| {
            let args = [
                ("service", self.service(*place)),
                ("op", self.op(*place)),
                ("time", time(*nanos)),
            ];
            t.html("**{service}** {op} {time}", &args).to_string()
        });
        let list = Html::trusted(list.collect::<Vec<_>>().join(", "));
        match usual {
            Some(usual) => t.html(
                t.find_largest_slow,
                &[("p50", time(usual)), ("list", list.into())],
            ),
            None => t.html(t.find_largest, &[("list", list.into())]),
        }
    }
}

/// Number of the rule (research/ui.md appendix A), tone, icon.
fn sign(finding: &Finding) -> (&'static str, &'static str, &'static str) {
    match finding {
        Finding::GaveUp { .. } => ("1", "er", "i-fail"),
        Finding::Failed { .. } => ("2", "er", "i-fail"),
        Finding::Survived { .. } => ("3", "er", "i-fail"),
        Finding::Waited { .. } => ("4", "wa", "i-time"),
        Finding::Worked { .. } => ("5", "wa", "i-time"),
        Finding::Repeated(_) => ("6", "wa", "i-again"),
        Finding::Gap { .. } => ("7", "wa", "i-gap"),
        Finding::WentOn { .. } => ("8", "q2", "i-info"),
        Finding::Orphans { .. } | Finding::NoRoot => ("9", "wa", "i-warn"),
        Finding::Usual { .. } => ("10", "okc", "i-ok"),
        Finding::NoOneCause { usual: Some(_), .. } => ("11", "wa", "i-time"),
        Finding::NoOneCause { usual: None, .. } => ("11", "q2", "i-info"),
    }
}

/// The first so many characters on one line, with an ellipsis where some are missing.
fn clipped(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    line.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_statements_are_clipped_on_one_line() {
        assert_eq!(clipped("SELECT\n  1", 10), "SELECT 1");
        assert_eq!(clipped("은행 응답이 아주 늦습니다", 6), "은행 응답…");
    }
}

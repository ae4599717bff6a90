//! Searching: from a query's text to a page of requests.

use super::cursor::Token;
use super::{Answers, RequestList, SearchInput, Window};
use crate::QueryError;
use crate::lang::{self, Ast, Reading, TimeWords};
use hoplog_model::UnixNanos;
use hoplog_store::{Bounds, Page, RequestExpr, Search, Sort};

/// Requests a page when the question does not say.
pub const DEFAULT_LIMIT: usize = 50;
/// Most requests a page.
pub const MAX_LIMIT: usize = 1_000;

/// A query's text, without errors.
#[derive(Debug, Clone)]
pub(super) struct Understood(Reading);

impl Understood {
    fn canonical(&self) -> String {
        self.0.ast.as_ref().map(Ast::canonical).unwrap_or_default()
    }

    pub(super) fn expr(&self) -> RequestExpr {
        self.0
            .ast
            .as_ref()
            .map_or_else(RequestExpr::everything, Ast::lower)
    }
}

impl Answers {
    /// A page of the requests that match. A cursor brings its window along: on later pages `from`
    /// and `to`, and `last:` and `time:` in the text, no longer count.
    ///
    /// # Errors
    /// The query is not understood (with its issues), the cursor is of another search, the limit
    /// or the window make no sense, or the store cannot answer.
    pub async fn search(&self, input: &SearchInput) -> Result<RequestList, QueryError> {
        let limit = input.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(QueryError::invalid(
                "limit",
                format!("a page has 1 to {MAX_LIMIT} requests"),
            ));
        }
        let understood = self.understand(&input.q).await?;
        let sort = understood.0.sort.or(input.sort).unwrap_or_default();
        let canonical = understood.canonical();
        let token = input
            .cursor
            .as_deref()
            .map(|text| Token::read(text, &canonical, sort));
        let token = token.transpose()?;
        let window = match &token {
            Some(token) => token.window,
            None => self.search_window(input, &understood)?,
        };
        let search = Search {
            expr: understood.expr(),
            from: window.from,
            to: window.to,
            sort,
            limit,
            after: token.map(|token| token.after),
            bounds: Bounds::default(),
        };
        let mut page = self.reader.search(&search).await?;
        self.mark_kept(&mut page.hits).await?;
        let until = searched_until(&page, sort, window);
        let next = page
            .next
            .map(|after| Token { after, window }.write(&canonical, sort));
        Ok(RequestList {
            requests: page.hits,
            next_cursor: next,
            complete: page.complete,
            searched_until: until.0,
            searched_until_duration: until.1,
            cost: page.cost,
            window,
            sort,
            ast: understood.0.ast,
            hints: understood.0.hints,
        })
    }

    /// Reads a query's text.
    pub(super) async fn understand(&self, text: &str) -> Result<Understood, QueryError> {
        let known = self.known().await?;
        let reading = lang::read(text, self.now(), &known);
        if reading.errors.is_empty() {
            return Ok(Understood(reading));
        }
        let fixed = lang::apply_all(text, &known);
        Err(QueryError {
            fixed,
            ..QueryError::query(reading.errors)
        })
    }

    fn search_window(
        &self,
        input: &SearchInput,
        understood: &Understood,
    ) -> Result<Window, QueryError> {
        match understood.0.time {
            Some(TimeWords::Last(length)) => {
                let now = self.now();
                self.window(Some(now.saturating_sub(length)), Some(now))
            }
            Some(TimeWords::Between(from, to)) => self.window(from, to),
            None => match understood.expr().start_bounds() {
                (None, None) => self.window(input.from, input.to),
                // Open ends are open: the words in the text are the time that is searched.
                (from, to) => {
                    let from = from.unwrap_or(0);
                    let to = to.unwrap_or_else(|| self.now().max(from.saturating_add(1)));
                    self.window(Some(from), Some(to))
                }
            },
        }
    }
}

/// The instant from which on everything was looked at, and for the slowest the duration.
fn searched_until(page: &Page, sort: Sort, window: Window) -> (UnixNanos, Option<u64>) {
    let key = page.searched_until.or(page.next.map(|next| next.key));
    match (key, sort) {
        (None, _) => (window.from, None),
        (Some(start), Sort::Newest) => (start.clamp(window.from, window.to), None),
        (Some(duration), Sort::Slowest) => (window.to, Some(duration)),
    }
}

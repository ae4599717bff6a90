//! `/requests`: which request shows my problem?

mod form;
mod list;
pub(super) mod strip;

use super::start::Start;
use crate::Web;
use crate::chrome::{Chrome, LATE, Link, Place};
use crate::failure::{Failure, respond_with};
use crate::format;
use crate::i18n::Messages;
use crate::params::Params;
use crate::range::{Range, RangeView, hidden};
use crate::read;
use crate::reader::Reader;
use crate::rich::Html;
use crate::url::Href;
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use form::FormView;
use hoplog_model::times::DAY;
use hoplog_query::answers::{RequestList, SearchInput, Window};
use hoplog_query::lang::{self, Ast, Chip, Issue, Known, TimeWords, format_duration};
use hoplog_query::{ErrorCode, QueryError, Sort};
use http::StatusCode;
use list::ListView;
use std::sync::Arc;
use strip::Strip;

/// The page.
#[derive(Debug, Template)]
#[template(path = "pages/requests.html")]
pub(crate) struct RequestsPage {
    c: Chrome,
    heading: String,
    q: String,
    range: RangeView,
    problem: Option<Problem>,
    read: Html,
    chips: Vec<ChipView>,
    add: Vec<Link>,
    hints: Vec<ProblemItem>,
    form: FormView,
    strip: Option<Strip>,
    list: Option<ListView>,
    empty: Option<Empty>,
    start: Option<Start>,
}

/// A query that was not understood.
#[derive(Debug)]
struct Problem {
    title: String,
    /// The text, what is wrong in it marked.
    marked: Html,
    carets: String,
    items: Vec<ProblemItem>,
    all: Option<Link>,
    as_text: String,
}

/// One thing that is wrong, or looks wrong.
#[derive(Debug)]
struct ProblemItem {
    hint: bool,
    text: Html,
    fix: Option<Fix>,
}

/// A link that puts it right.
#[derive(Debug)]
struct Fix {
    href: String,
    label: Html,
}

/// A part of the query that can be taken away.
#[derive(Debug)]
struct ChipView {
    label: String,
    without: String,
    remove: String,
}

/// Why there is nothing to show, and what to do.
#[derive(Debug, Default)]
pub(crate) struct Empty {
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) links: Vec<Link>,
    pub(crate) cost: String,
}

impl Empty {
    /// Nothing in this time: longer times are a click away.
    pub(crate) fn longer(here: &Href, t: &'static Messages) -> Self {
        let here = here.clone().without(&["from", "to", "cursor"]);
        let links = vec![
            Link::new(here.clone().with("t", "24h"), t.last_24h),
            Link::new(here.with("t", "7d"), t.last_7d),
        ];
        Self {
            title: t.empty_range.into(),
            links,
            ..Self::default()
        }
    }
}

/// What was asked for.
#[derive(Debug)]
struct Asked<'a> {
    reader: &'a Reader,
    q: String,
    range: Range,
    sort: Sort,
    cursor: String,
    /// This search's address, without a cursor.
    here: Href,
}

impl<'a> Asked<'a> {
    fn read(reader: &'a Reader, params: &Params) -> Result<Self, Failure> {
        let sort = match params.get("sort") {
            "-duration" | "slowest" => Sort::Slowest,
            "" | "-start" | "newest" => Sort::Newest,
            _ => return Err(Failure::Address("sort")),
        };
        let range = params.range().resolve(reader)?;
        let (q, cursor) = (params.get("q").to_owned(), params.get("cursor").to_owned());
        let here = address(&q, &range, sort);
        Ok(Self {
            reader,
            q,
            range,
            sort,
            cursor,
            here,
        })
    }

    fn t(&self) -> &'static Messages {
        self.reader.t()
    }

    /// This search with another query.
    fn with_query(&self, q: &str) -> String {
        self.here.clone().with("q", q).to_string()
    }
}

/// A search's address.
fn address(q: &str, range: &Range, sort: Sort) -> Href {
    let sort = if sort == Sort::Slowest {
        "-duration"
    } else {
        ""
    };
    range.on(Href::path(&["requests"]).with("q", q).with("sort", sort))
}

pub(crate) async fn get(State(web): State<Web>, reader: Reader, params: Params) -> Response {
    match page(&web, &reader, &params).await {
        Ok(Answer::Page(status, page)) => respond_with(status, &reader, Ok(*page)),
        Ok(Answer::Elsewhere(href)) => Redirect::to(&href).into_response(),
        Err(failure) => failure.response(&reader),
    }
}

/// A page, or a better address for it.
enum Answer {
    Page(StatusCode, Box<RequestsPage>),
    Elsewhere(String),
}

async fn page(web: &Web, reader: &Reader, params: &Params) -> Result<Answer, Failure> {
    let began = web.now();
    let mut asked = Asked::read(reader, params)?;
    if params.has("form") {
        // The form speaks the query language from here on: one address for both ways to ask.
        let (query, more) = form::query(params);
        let href = asked.here.clone().with("q", query);
        let href = if more {
            href.with("rows", (form::rows(params) + 1).to_string())
        } else {
            href
        };
        return Ok(Answer::Elsewhere(href.into()));
    }
    if let Some(href) = words_as_parameters(&asked) {
        return Ok(Answer::Elsewhere(href));
    }
    let known = web.answers.known().await?;
    let mut c = Chrome::new(reader, Place::Requests, reader.t().requests, web.newest());
    if Start::needed(web) && asked.q.is_empty() {
        c.fresh = None;
        let mut page = bare(
            c,
            &asked,
            FormView::new(None, "", params, &known, &asked.here, asked.t()),
        );
        page.start = Some(Start::new(web, asked.t()));
        return Ok(Answer::Page(StatusCode::OK, Box::new(page)));
    }
    let input = SearchInput {
        q: asked.q.clone(),
        from: Some(asked.range.window.from),
        to: Some(asked.range.window.to),
        sort: Some(asked.sort),
        limit: None,
        cursor: Some(asked.cursor.clone()).filter(|cursor| !cursor.is_empty()),
    };
    match web.answers.search(&input).await {
        Ok(found) => {
            asked.range = Range::of_words(&found).unwrap_or(asked.range);
            let ast = found.ast.as_ref();
            let form = FormView::new(ast, &asked.q, params, &known, &asked.here, asked.t());
            let mut page = bare(c, &asked, form);
            let questions = fill(web, &asked, &mut page, &found).await?;
            page.c = page.c.cost(questions, web.now().saturating_sub(began));
            Ok(Answer::Page(StatusCode::OK, Box::new(page)))
        }
        Err(error) if !error.issues.is_empty() => {
            let page = problem_page(c, &asked, params, &known, &error);
            Ok(Answer::Page(StatusCode::BAD_REQUEST, Box::new(page)))
        }
        Err(error) if error.code == ErrorCode::InvalidArgument && !asked.cursor.is_empty() => {
            Err(Failure::Address("cursor"))
        }
        Err(error) => Err(error.into()),
    }
}

/// `last:`, `time:` and `sort:` typed into the query move into the address.
fn words_as_parameters(asked: &Asked<'_>) -> Option<String> {
    let words = lang::extract_time_and_sort(&asked.q, asked.reader.now);
    if !words.errors.is_empty() || (words.time.is_none() && words.sort.is_none()) {
        return None;
    }
    let range = match words.time {
        None => asked.range,
        Some(TimeWords::Last(length)) => Range {
            window: Window::last(length, asked.reader.now),
            last: Some(length.max(1)),
        },
        Some(TimeWords::Between(from, to)) => {
            let to = to.unwrap_or(asked.reader.now);
            Range {
                window: Window {
                    from: from.unwrap_or(to.saturating_sub(DAY)),
                    to,
                },
                last: None,
            }
        }
    };
    let text = words.text.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(address(&text, &range, words.sort.unwrap_or(asked.sort)).into())
}

/// Puts what was found on the page; says how many questions were asked of the store in all.
async fn fill(
    web: &Web,
    asked: &Asked<'_>,
    page: &mut RequestsPage,
    found: &RequestList,
) -> Result<usize, Failure> {
    let t = asked.t();
    let mut questions = 2;
    let ast = found.ast.as_ref();
    let latency = web
        .answers
        .latency(&strip::input(ast, &asked.range))
        .await?;
    page.read = read::sentence(ast, t);
    let chips = ast.map(lang::chips).unwrap_or_default();
    page.chips = chips.iter().map(|chip| chip_view(chip, asked)).collect();
    page.add = additions(&chips, asked);
    page.hints = found
        .hints
        .iter()
        .map(|issue| item(issue, true, asked))
        .collect();
    page.strip = Some(Strip::new(
        ast,
        &latency,
        &asked.range,
        &asked.here,
        asked.reader,
    ));
    if found.requests.is_empty() && found.complete {
        let (empty, more) = empty(web, asked, &chips, found).await?;
        questions += more;
        page.empty = Some(empty);
    } else {
        page.list = Some(ListView::new(found, asked));
    }
    Ok(questions)
}

/// The page without an answer.
fn bare(c: Chrome, asked: &Asked<'_>, form: FormView) -> RequestsPage {
    let t = asked.t();
    let mut range = RangeView::new(&asked.range, &asked.here, asked.reader);
    range.in_form = true;
    range.small = false;
    // The query bar holds the time itself, in these fields.
    range.hidden = hidden(&asked.here, &["q", "from", "to", "cursor"]);
    RequestsPage {
        c,
        heading: t.requests.into(),
        q: asked.q.clone(),
        range,
        problem: None,
        read: Html::default(),
        chips: Vec::new(),
        add: Vec::new(),
        hints: Vec::new(),
        form,
        strip: None,
        list: None,
        empty: None,
        start: None,
    }
}

fn problem_page(
    mut c: Chrome,
    asked: &Asked<'_>,
    params: &Params,
    known: &Arc<Known>,
    error: &QueryError,
) -> RequestsPage {
    let t = asked.t();
    let count = error.issues.len().to_string();
    let title = match error.issues.len() {
        1 => t.problem_one.to_owned(),
        _ => t.text(t.problem_many, &[("n", count.into())]),
    };
    c.title.clone_from(&title);
    let parsed = lang::parse(&asked.q, known);
    let mut form = FormView::new(parsed.ast.as_ref(), &asked.q, params, known, &asked.here, t);
    form.unread(&asked.q);
    let mut page = bare(c, asked, form);
    page.heading.clone_from(&title);
    page.problem = Some(problem(title, asked, known, &error.issues, &parsed.hints));
    page
}

fn problem(
    title: String,
    asked: &Asked<'_>,
    known: &Known,
    issues: &[Issue],
    hints: &[Issue],
) -> Problem {
    let t = asked.t();
    let mut items: Vec<_> = issues
        .iter()
        .map(|issue| item(issue, false, asked))
        .collect();
    items.extend(hints.iter().map(|issue| item(issue, true, asked)));
    let fixes = items.iter().filter(|item| item.fix.is_some()).count();
    let all = lang::apply_all(&asked.q, known).map(|fixed| {
        let label = if fixes == 1 {
            t.problem_fix
        } else {
            t.problem_all
        };
        Link::new(asked.with_query(&fixed), label)
    });
    let carets = lang::caret("", issues);
    let text = format!("\"{}\"", asked.q.replace('\\', "\\\\").replace('"', "\\\""));
    Problem {
        title,
        marked: marked(&asked.q, issues),
        carets: carets.trim_start_matches('\n').into(),
        items,
        all,
        as_text: asked.with_query(&text),
    }
}

/// The text with what issues name in `mark` elements.
fn marked(text: &str, issues: &[Issue]) -> Html {
    let mut out = String::new();
    let mut inside = false;
    for (column, c) in text.chars().enumerate() {
        let wrong = issues
            .iter()
            .any(|issue| (issue.at..issue.at + issue.len).contains(&column));
        if wrong != inside {
            out.push_str(if wrong { "<mark>" } else { "</mark>" });
            inside = wrong;
        }
        out.push_str(Html::escape(c.encode_utf8(&mut [0; 4])).as_str());
    }
    if inside {
        out.push_str("</mark>");
    }
    Html::trusted(out)
}

fn item(issue: &Issue, hint: bool, asked: &Asked<'_>) -> ProblemItem {
    let t = asked.t();
    let what = crate::issues::sentence(&issue.kind, t);
    let text = if hint {
        t.html(t.problem_also, &[("what", what.into())])
    } else {
        let column = (issue.at + 1).to_string();
        t.html(
            t.problem_column,
            &[("column", column.into()), ("what", what.into())],
        )
    };
    let fix = issue.fix.as_ref().map(|fixed| {
        let word = issue
            .edit
            .as_ref()
            .map_or(fixed.as_str(), |edit| word_at(fixed, edit.at));
        let label = t.html(t.problem_use, &[("text", word.into())]);
        Fix {
            href: asked.with_query(fixed),
            label,
        }
    });
    ProblemItem { hint, text, fix }
}

/// The word of a text that holds a column.
fn word_at(text: &str, column: usize) -> &str {
    let at = text
        .char_indices()
        .nth(column)
        .map_or(text.len(), |(at, _)| at);
    let (before, after) = text.split_at(at);
    let start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let end = after
        .find(char::is_whitespace)
        .map_or(text.len(), |more| at + more);
    text.get(start..end).unwrap_or(text)
}

fn chip_view(chip: &Chip, asked: &Asked<'_>) -> ChipView {
    let t = asked.t();
    ChipView {
        label: chip.text.clone(),
        without: asked.with_query(&chip.without),
        remove: t.text(t.remove_part, &[("part", chip.text.as_str().into())]),
    }
}

/// What one would often add, where it is not there yet.
fn additions(chips: &[Chip], asked: &Asked<'_>) -> Vec<Link> {
    let t = asked.t();
    let has = |word: &str| chips.iter().any(|chip| chip.text.starts_with(word));
    let add = |part: &str, label: &str| {
        let whole = chips
            .iter()
            .map(|chip| bracketed(&chip.part))
            .chain([part.into()]);
        Link::new(
            asked.with_query(&whole.collect::<Vec<_>>().join(" ")),
            label,
        )
    };
    let failed = (!has("status:")).then(|| add("status:error", t.add_failed));
    let slow = (!has("duration:")).then(|| add("duration:>1s", t.add_slow));
    failed.into_iter().chain(slow).collect()
}

/// A part as it must stand beside others.
fn bracketed(part: &Ast) -> String {
    if matches!(part, Ast::Or(_)) {
        format!("({part})")
    } else {
        part.to_string()
    }
}

/// The four kinds of nothing. Also says how many more questions it took to tell them apart.
async fn empty(
    web: &Web,
    asked: &Asked<'_>,
    chips: &[Chip],
    found: &RequestList,
) -> Result<(Empty, usize), Failure> {
    let t = asked.t();
    let cost = list::cost(found, t);
    if !asked.cursor.is_empty() {
        let links = vec![Link::new(asked.here.clone(), t.first_page)];
        let (title, text) = (t.empty_end.into(), t.empty_end_text.into());
        return Ok((
            Empty {
                title,
                text,
                links,
                cost,
            },
            0,
        ));
    }
    let age = web.newest().map(|at| asked.reader.now.saturating_sub(at));
    if chips.is_empty() {
        let mut empty = Empty::longer(&asked.here, t);
        empty.cost = cost;
        empty.text = match (web.newest(), age) {
            (Some(at), Some(age)) => {
                if age > LATE && asked.range.last.is_some_and(|length| age < length) {
                    empty.title = t.empty_late.into();
                    empty
                        .links
                        .insert(0, Link::new("/pipeline", t.see_pipeline));
                }
                let time = t.day_time(at, asked.reader.zone);
                let args = [("time", time.into()), ("ago", t.age(age).into())];
                t.text(t.empty_range_near, &args)
            }
            _ => t.empty_range_far.into(),
        };
        return Ok((empty, 0));
    }
    let (links, questions) = without_each(web, asked, chips).await?;
    let text = if links.is_empty() {
        t.empty_filtered_one
    } else {
        t.empty_filtered_text
    };
    let mut all = links;
    all.push(Link::new(asked.with_query(""), t.clear_query));
    all.extend(Empty::longer(&asked.here, t).links);
    let empty = Empty {
        title: t.empty_filtered.into(),
        text: text.into(),
        links: all,
        cost,
    };
    Ok((empty, questions))
}

/// For each of the first parts of the query, how many requests there are without it; the part
/// that removes most first.
async fn without_each(
    web: &Web,
    asked: &Asked<'_>,
    chips: &[Chip],
) -> Result<(Vec<Link>, usize), Failure> {
    const PARTS: usize = 4;
    const MOST: usize = 100;
    let t = asked.t();
    let mut counted = Vec::new();
    for chip in chips.iter().take(PARTS) {
        let input = SearchInput {
            q: chip.without.clone(),
            from: Some(asked.range.window.from),
            to: Some(asked.range.window.to),
            limit: Some(MOST),
            ..SearchInput::default()
        };
        let found = web.answers.search(&input).await?;
        counted.push((found.requests.len(), found.next_cursor.is_some(), chip));
    }
    let questions = counted.len();
    counted.retain(|(count, _, _)| *count > 0);
    counted.sort_by_key(|(count, more, _)| std::cmp::Reverse((*more, *count)));
    let link = |(count, more, chip): (usize, bool, &Chip)| {
        let template = if more {
            t.empty_without_more
        } else {
            t.empty_without
        };
        let n = format::count(count as u64);
        let label = t.text(
            template,
            &[("part", chip.text.as_str().into()), ("n", n.into())],
        );
        Link::new(asked.with_query(&chip.without), label)
    };
    Ok((counted.into_iter().map(link).collect(), questions))
}

/// A duration as the language writes it, from what a person typed; as typed if it is none.
fn duration_text(text: &str) -> String {
    lang::parse_duration(text).map_or_else(|| text.into(), format_duration)
}

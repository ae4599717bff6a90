//! A strict look at markup: nesting, headings, labels, links, ids, inline code.

use std::collections::HashSet;

/// A tag: its name, its attributes, whether it closes.
struct Tag<'a> {
    name: &'a str,
    attributes: Vec<(&'a str, &'a str)>,
    closes: bool,
    empty: bool,
    /// Text between this tag and the next.
    text: &'a str,
}

impl<'a> Tag<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.attributes
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| *value)
    }
}

const VOID: [&str; 7] = ["meta", "link", "input", "br", "col", "img", "hr"];

fn tags(page: &str) -> Vec<Tag<'_>> {
    let pieces = page.split('<').skip(1);
    pieces
        .filter(|piece| !piece.starts_with('!'))
        .map(tag)
        .collect()
}

fn tag(piece: &str) -> Tag<'_> {
    let (inside, text) = piece.split_once('>').expect("every < has its >");
    let closes = inside.starts_with('/');
    let empty = inside.ends_with('/');
    let inside = inside.trim_matches('/');
    let (name, mut rest) = inside
        .split_once(char::is_whitespace)
        .unwrap_or((inside, ""));
    let mut attributes = Vec::new();
    while !rest.trim().is_empty() {
        rest = rest.trim_start();
        let end = rest
            .find(|c: char| c == '=' || c.is_whitespace())
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if let Some(quoted) = after.strip_prefix("=\"") {
            let (value, after) = quoted.split_once('"').expect("every quote is closed");
            attributes.push((name, value));
            rest = after;
        } else {
            attributes.push((name, ""));
            rest = after;
        }
    }
    Tag {
        name,
        attributes,
        closes,
        empty,
        text,
    }
}

/// What is wrong with a page.
pub(crate) fn faults(page: &str) -> Vec<String> {
    let tags = tags(page);
    let mut faults = nesting(&tags);
    faults.extend(headings(&tags));
    faults.extend(forms(&tags));
    faults.extend(links(&tags));
    faults.extend(inline(&tags));
    for bad in [
        "{}",
        "{n}",
        ">0\u{a0}ms",
        ">0<span class=\"u\">ms",
        "NaN",
        "inf ",
    ] {
        if page.contains(bad) {
            faults.push(format!("the page holds {bad:?}"));
        }
    }
    faults
}

fn nesting(tags: &[Tag<'_>]) -> Vec<String> {
    let (mut open, mut faults) = (Vec::new(), Vec::new());
    for tag in tags {
        if tag.closes {
            match open.pop() {
                Some(last) if last == tag.name => {}
                last => faults.push(format!("</{}> closes {last:?}", tag.name)),
            }
        } else if !tag.empty && !VOID.contains(&tag.name) {
            for (outer, inner) in [
                ("a", "a"),
                ("a", "button"),
                ("form", "form"),
                ("p", "div"),
                ("p", "ul"),
                ("p", "form"),
            ] {
                if tag.name == inner && open.contains(&outer) {
                    faults.push(format!("<{inner}> in <{outer}>"));
                }
            }
            open.push(tag.name);
        }
    }
    faults.extend(
        open.into_iter()
            .map(|name| format!("<{name}> is never closed")),
    );
    faults
}

fn headings(tags: &[Tag<'_>]) -> Vec<String> {
    let h1 = tags
        .iter()
        .filter(|tag| tag.name == "h1" && !tag.closes)
        .count();
    let main = tags
        .iter()
        .filter(|tag| tag.name == "main" && !tag.closes)
        .count();
    let mut faults = Vec::new();
    if h1 != 1 || main != 1 {
        faults.push(format!("{h1} h1 and {main} main"));
    }
    let mut ids = HashSet::new();
    for id in tags.iter().filter_map(|tag| tag.get("id")) {
        if !ids.insert(id) {
            faults.push(format!("id {id} occurs twice"));
        }
    }
    for used in tags
        .iter()
        .filter_map(|tag| tag.get("aria-describedby").or(tag.get("for")))
    {
        if !ids.contains(used) {
            faults.push(format!("nothing has the id {used}"));
        }
    }
    faults
}

fn forms(tags: &[Tag<'_>]) -> Vec<String> {
    let labelled: HashSet<&str> = tags.iter().filter_map(|tag| tag.get("for")).collect();
    let (mut in_label, mut faults) = (false, Vec::new());
    for tag in tags {
        if tag.name == "label" {
            in_label = !tag.closes;
        }
        let field = matches!(tag.name, "input" | "select" | "textarea") && !tag.closes;
        let hidden = tag.get("type") == Some("hidden");
        let named = tag.get("id").is_some_and(|id| labelled.contains(id)) || in_label;
        if field && !hidden && !named {
            faults.push(format!(
                "a {} without a label: {:?}",
                tag.name,
                tag.get("name")
            ));
        }
    }
    faults
}

/// Every link goes somewhere and says where.
fn links(tags: &[Tag<'_>]) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, tag) in tags
        .iter()
        .enumerate()
        .filter(|(_, tag)| tag.name == "a" && !tag.closes)
    {
        match tag.get("href") {
            None | Some("" | "#") => faults.push(format!("a link to nowhere: {:?}", tag.text)),
            Some(href) if href.starts_with("http") => faults.push(format!("a link away: {href}")),
            Some(_) => {}
        }
        let inside = tags[at..]
            .iter()
            .take_while(|tag| !(tag.name == "a" && tag.closes));
        let says: String = inside.map(|tag| tag.text).collect();
        if says.trim().is_empty() && tag.get("aria-label").is_none_or(str::is_empty) {
            faults.push(format!("a link that says nothing: {:?}", tag.get("href")));
        }
    }
    faults
}

fn inline(tags: &[Tag<'_>]) -> Vec<String> {
    let mut faults = Vec::new();
    for tag in tags {
        let code = tag.name == "script" && tag.get("src").is_none() && !tag.closes;
        if code || tag.name == "style" || tag.get("style").is_some() {
            faults.push(format!("inline code or style in <{}>", tag.name));
        }
        let handler = tag
            .attributes
            .iter()
            .find(|(name, _)| name.starts_with("on"));
        if let Some((name, _)) = handler {
            faults.push(format!("an inline handler: {name}"));
        }
    }
    faults
}

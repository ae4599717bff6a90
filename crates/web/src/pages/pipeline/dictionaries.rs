//! The dictionaries that rows are packed with.

use crate::format;
use crate::reader::Reader;
use hoplog_query::{DictionaryHealth, StoreHealth};

/// A dictionary.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DictionaryRow {
    pub(super) name: String,
    pub(super) current: bool,
    pub(super) since: String,
    pub(super) trained: String,
    pub(super) now: String,
    pub(super) rows: String,
}

/// All of them, the newest first.
pub(super) fn rows(health: &StoreHealth, reader: &Reader) -> Vec<DictionaryRow> {
    let lines = health.packing.iter().rev();
    lines.map(|line| row(line, reader)).collect()
}

fn row(line: &DictionaryHealth, reader: &Reader) -> DictionaryRow {
    let t = reader.t();
    let density = |density: Option<f64>| match density {
        Some(density) => format!("{density:.1}"),
        None => "–".to_owned(),
    };
    DictionaryRow {
        name: match line.id {
            0 => t.dictionary_none.to_owned(),
            id => format!("{id:08x}"),
        },
        current: line.is_current,
        since: match line.added_at {
            0 => "–".to_owned(),
            at => format!("{} {}", t.day(at, reader.zone), reader.zone.minute(at)),
        },
        trained: density(line.density_trained),
        now: density(line.density_now),
        rows: format::count(line.rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_a_dash() {
        let line = |id, density_trained, is_current| DictionaryHealth {
            id,
            density_trained,
            is_current,
            rows: 1_200,
            ..DictionaryHealth::default()
        };
        let health = StoreHealth {
            packing: vec![line(0, None, false), line(0xab_cdef, Some(9.87), true)],
            ..StoreHealth::default()
        };
        let said: Vec<String> = rows(&health, &Reader::new("", "en", "/".into(), 0))
            .into_iter()
            .map(|row| {
                format!(
                    "{} {} {} {} {}",
                    row.name, row.since, row.trained, row.now, row.rows
                )
            })
            .collect();
        assert_eq!(said, ["00abcdef – 9.9 – 1,200", "none – – – 1,200"]);
    }
}

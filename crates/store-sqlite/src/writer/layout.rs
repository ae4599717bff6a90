//! The order of rows in a segment, by which they fill their pages.

use crate::db::PAGE_BYTES;
use crate::sql;
use hoplog_store::tables::NewRow;
use std::collections::BTreeMap;

/// Bytes of a page for rows: less its header.
const ROOM: usize = PAGE_BYTES as usize - 8;
/// Bytes of a row beyond which its end stands on pages of its own: less 35, as the file format has it.
const WHOLE: usize = PAGE_BYTES as usize - 35;

/// [`fill_pages`] of rows.
pub(super) fn order(rows: &[(NewRow, i64)]) -> Vec<usize> {
    let sizes: Vec<usize> = rows
        .iter()
        .map(|(row, interface)| size(row, *interface))
        .collect();
    fill_pages(&sizes)
}

/// Places of rows by the order in which they are best written. Rows are appended: what does not fit on
/// the last page begins the next, and the rest of the page stays empty. So each page takes the largest row
/// that fits, until none does.
fn fill_pages(sizes: &[usize]) -> Vec<usize> {
    let mut left: BTreeMap<(usize, usize), ()> = sizes
        .iter()
        .enumerate()
        .map(|(place, size)| ((*size, place), ()))
        .collect();
    let mut order = Vec::with_capacity(sizes.len());
    let mut room = ROOM;
    while let Some((largest, ())) = left.last_key_value() {
        let fits = left
            .range(..=(room, usize::MAX))
            .next_back()
            .map(|(key, ())| *key);
        let (size, place) = fits.unwrap_or_else(|| {
            room = ROOM;
            *largest
        });
        left.remove(&(size, place));
        room = room.saturating_sub(size);
        order.push(place);
    }
    order
}

/// Bytes that a row takes on its page, see <https://sqlite.org/fileformat2.html#record_format>.
fn size(row: &NewRow, interface: i64) -> usize {
    let summary = &row.summary;
    let numbers = [
        sql::bits(summary.started_at),
        sql::bits(summary.duration),
        sql::bits(summary.extent),
        interface,
        i64::from(summary.status.to_wire()),
        i64::from(summary.span_count),
        i64::from(summary.hop_count),
        i64::from(summary.service_count),
        i64::from(summary.error_count),
        i64::from(summary.flags.0),
        i64::from(summary.capped_spans),
        row.part_count,
        i64::from(row.check),
    ];
    let numbers: usize = numbers.into_iter().map(number_size).sum();
    let code = summary.code.as_ref().map_or(0, String::len);
    // One byte of header a column and one for itself, and two more for the longer types.
    let payload = 20 + 16 + numbers + code + row.frames.len();
    // Two bytes each for its place on the page and its length, up to six for its number.
    let whole = payload + 10;
    if payload <= WHOLE {
        whole
    } else {
        whole - (payload - spilled(payload))
    }
}

/// Bytes of a payload that stay on the page, of one that is too large for it.
fn spilled(payload: usize) -> usize {
    let usable = PAGE_BYTES as usize;
    let least = (usable - 12) * 32 / 255 - 23;
    let local = least + (payload - least) % (usable - 4);
    if local <= WHOLE { local } else { least }
}

fn number_size(number: i64) -> usize {
    let bits = 65
        - if number < 0 {
            (!number).leading_zeros()
        } else {
            number.leading_zeros()
        };
    match bits {
        _ if number == 0 || number == 1 => 0,
        0..=8 => 1,
        9..=16 => 2,
        17..=24 => 3,
        25..=32 => 4,
        33..=48 => 6,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_place_and_pages_are_full() {
        let sizes: Vec<usize> = (0..500).map(|n| 300 + n * 7_919 % 2_500).collect();
        let order = fill_pages(&sizes);
        let mut places = order.clone();
        places.sort_unstable();
        assert_eq!(places, (0..500).collect::<Vec<_>>());
        let (mut pages, mut room) = (0, 0);
        for place in order {
            if sizes[place] > room {
                (pages, room) = (pages + 1, ROOM);
            }
            room -= sizes[place];
        }
        let least = sizes.iter().sum::<usize>().div_ceil(ROOM);
        assert!(
            pages <= least + least / 50 + 1,
            "{pages} pages where {least} would do"
        );
    }

    #[test]
    fn rows_larger_than_a_page_are_taken() {
        assert_eq!(fill_pages(&[ROOM + 5, 10, ROOM * 3]), [1, 2, 0]);
        assert_eq!(fill_pages(&[]), Vec::<usize>::new());
    }

    #[test]
    fn numbers_take_what_the_file_format_says() {
        let sizes = [
            (0, 0),
            (1, 0),
            (2, 1),
            (-1, 1),
            (127, 1),
            (128, 2),
            (-128, 1),
            (-129, 2),
        ];
        for (number, size) in sizes {
            assert_eq!(number_size(number), size, "{number}");
        }
        assert_eq!(
            [1 << 31, 1 << 46, 1 << 47, i64::MIN].map(number_size),
            [6, 6, 8, 8]
        );
    }
}

//! Spans by columns and symbols, before zstd: a third of the bytes, and alike what other rows have.
//!
//! Layout, numbers as varints: a zero byte (no `TracesData` starts so); the groups, each with its
//! number of spans and its four parts; the trace id; the span ids; per span the link to its
//! parent; the first start and per span start and duration as signed differences; the length of
//! the symbols, the symbols, the literals they call for.
//!
//! A span is taken to start with trace id and span id, then its parent's id if it has one.

use super::FRAME_BYTES_MAX;
use super::PackError;
use super::table::{Attribute, END, EXPECTED, Entry, RAW, TIMES, Table};
use crate::segment::{Field, Reader, fields};
use hoplog_model::SpanId;
use hoplog_otlp::write::{self, varint};
use hoplog_otlp::{Group, SpanRef, SpanSet};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What a squeezed frame starts with.
pub(super) const MARK: u8 = 0;

const TRACE_ID: u64 = 1 << 3 | 2;
const SPAN_ID: u64 = 2 << 3 | 2;
const PARENT: u64 = 4 << 3 | 2;
const START: u64 = 7 << 3 | 1;
const END_TIME: u64 = 8 << 3 | 1;

/// How a span points at its parent.
const NO_PARENT: u64 = 0;
/// The parent's id is a literal.
const FOREIGN: u64 = 1;
/// Added to the zigzag step to the parent's place.
const NEAR: u64 = 2;

/// Symbols said in one byte: ranks and the most frequent; the rest takes two.
const SHORT: usize = 192;

/// The columns of a frame; kept for the next.
#[derive(Debug, Default)]
pub(super) struct Columns {
    groups: Vec<u8>,
    ids: Vec<u8>,
    links: Vec<u8>,
    times: Vec<u8>,
    symbols: Vec<u8>,
    literals: Vec<u8>,
    places: FxHashMap<SpanId, i64>,
    trace_id: Option<[u8; 16]>,
    base: Option<u64>,
}

impl Columns {
    fn clear(&mut self) {
        let Self {
            groups,
            ids,
            links,
            times,
            symbols,
            literals,
            places,
            ..
        } = self;
        [groups, ids, links, times, symbols, literals]
            .into_iter()
            .for_each(Vec::clear);
        places.clear();
        (self.trace_id, self.base) = (None, None);
    }

    /// Appends the chosen spans to `out`. None (and nothing done) if a span is out of the ordinary.
    pub(super) fn squeeze(
        &mut self,
        table: &Table,
        spans: &SpanSet,
        pick: impl Fn(usize) -> bool,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        self.clear();
        let groups: Vec<(&Arc<Group>, Vec<SpanRef<'_>>)> = grouped(spans, pick);
        let all = groups.iter().flat_map(|(_, spans)| spans);
        self.places
            .extend(all.map(|span| span.head.span_id).zip(0..));
        varint(&mut self.groups, groups.len() as u64);
        let mut place = 0;
        for (group, spans) in &groups {
            varint(&mut self.groups, spans.len() as u64);
            for part in [
                &group.resource,
                &group.resource_schema,
                &group.scope,
                &group.scope_schema,
            ] {
                varint(&mut self.groups, part.len() as u64);
                self.groups.extend_from_slice(part);
            }
            for span in spans {
                self.span(table, span.raw, place)?;
                place += 1;
            }
        }
        out.push(MARK);
        out.extend_from_slice(&self.groups);
        out.extend_from_slice(&self.trace_id?);
        out.extend_from_slice(&self.ids);
        out.extend_from_slice(&self.links);
        out.extend_from_slice(&self.base?.to_le_bytes());
        out.extend_from_slice(&self.times);
        varint(out, self.symbols.len() as u64);
        out.extend_from_slice(&self.symbols);
        out.extend_from_slice(&self.literals);
        Some(())
    }

    fn span(&mut self, table: &Table, raw: &[u8], place: i64) -> Option<()> {
        let (mut count, mut last, mut start, mut ordinary) = (0, END, None, true);
        let mut timed = false;
        fields(raw, |field| {
            let due = count;
            count += 1;
            match field.key {
                TRACE_ID if due == 0 => ordinary &= self.take_trace_id(&field),
                SPAN_ID if due == 1 => ordinary &= self.take_span_id(&field),
                PARENT if due == 2 && field.whole.len() == 10 => self.link(field.payload, place),
                _ => {
                    if due == 2 {
                        varint(&mut self.links, NO_PARENT);
                    }
                    ordinary &= due >= 2;
                    match (field.key, start) {
                        (START, None) if !timed && field.whole.len() == 9 => {
                            start = field.payload.first_chunk().map(|s| u64::from_le_bytes(*s));
                        }
                        (END_TIME, Some(from)) if field.whole.len() == 9 => {
                            self.time(from, &field);
                            (start, timed) = (None, true);
                            last = self.symbol(table, last, TIMES);
                        }
                        // Between the times nothing may stand, nor may they come twice.
                        _ => {
                            ordinary &=
                                start.is_none() && field.key != START && field.key != END_TIME;
                            last = self.field(table, last, &field);
                        }
                    }
                }
            }
        })?;
        if count == 2 {
            varint(&mut self.links, NO_PARENT);
        }
        self.symbol(table, last, END);
        (ordinary && timed && count >= 2).then_some(())
    }

    fn take_trace_id(&mut self, field: &Field<'_>) -> bool {
        let Ok(id) = <[u8; 16]>::try_from(field.payload) else {
            return false;
        };
        field.whole.len() == 18 && *self.trace_id.get_or_insert(id) == id
    }

    fn take_span_id(&mut self, field: &Field<'_>) -> bool {
        self.ids.extend_from_slice(field.payload);
        field.whole.len() == 10
    }

    fn link(&mut self, parent: &[u8], place: i64) {
        let found = SpanId::from_slice(parent)
            .ok()
            .and_then(|id| self.places.get(&id));
        match found {
            Some(found) => varint(&mut self.links, zigzag(found - place) + NEAR),
            None => {
                varint(&mut self.links, FOREIGN);
                self.literals.extend_from_slice(parent);
            }
        }
    }

    fn time(&mut self, from: u64, end: &Field<'_>) {
        let to = end
            .payload
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let base = *self.base.get_or_insert(from);
        varint(
            &mut self.times,
            zigzag(from.wrapping_sub(base).cast_signed()),
        );
        varint(&mut self.times, zigzag(to.wrapping_sub(from).cast_signed()));
    }

    /// Says a field; returns its symbol.
    fn field(&mut self, table: &Table, last: u16, field: &Field<'_>) -> u16 {
        if let Some((symbol, rank)) = table.find(last, field.whole) {
            return self.say(symbol, rank);
        }
        let attribute = Attribute::of(field);
        let known = attribute.and_then(|attribute| Some((attribute, table.find_key(&attribute)?)));
        if let Some((attribute, symbol)) = known {
            self.literals.extend_from_slice(attribute.value);
            return self.symbol(table, last, symbol);
        }
        varint(&mut self.literals, field.whole.len() as u64);
        self.literals.extend_from_slice(field.whole);
        self.symbol(table, last, RAW)
    }

    fn symbol(&mut self, table: &Table, last: u16, symbol: u16) -> u16 {
        self.say(symbol, table.rank(last, symbol))
    }

    fn say(&mut self, symbol: u16, rank: Option<usize>) -> u16 {
        let code = rank.unwrap_or(EXPECTED + usize::from(symbol));
        let byte = |number: usize| u8::try_from(number).expect("below 16,384 in all");
        if code < SHORT {
            self.symbols.push(byte(code));
        } else {
            let far = code - SHORT;
            self.symbols
                .extend([byte(SHORT + (far >> 8)), byte(far & 0xff)]);
        }
        symbol
    }
}

/// The chosen spans by group, groups without any left out.
fn grouped(spans: &SpanSet, pick: impl Fn(usize) -> bool) -> Vec<(&Arc<Group>, Vec<SpanRef<'_>>)> {
    let mut groups: Vec<(&Arc<Group>, Vec<SpanRef<'_>>)> = spans
        .groups()
        .iter()
        .map(|group| (group, Vec::new()))
        .collect();
    let mut at = 0;
    for (_, span) in spans.iter().enumerate().filter(|(index, _)| pick(*index)) {
        // A sender's spans come together.
        if !Arc::ptr_eq(groups[at].0, span.group) {
            let found = groups
                .iter()
                .position(|(group, _)| Arc::ptr_eq(group, span.group));
            at = found.unwrap_or(at);
        }
        groups[at].1.push(span);
    }
    groups.retain(|(_, spans)| !spans.is_empty());
    groups
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// The symbols of a span as [`Columns::squeeze`] would say it, for those who learn; none if the span is out of
/// the ordinary.
pub(super) fn symbols_of(table: &Table, raw: &[u8]) -> Option<Vec<u16>> {
    let mut columns = Columns::default();
    columns.span(table, raw, 0)?;
    let (mut symbols, mut last, mut reader) = (Vec::new(), END, Reader(&columns.symbols));
    while !reader.is_empty() {
        last = next_symbol(table, last, &mut reader).ok()?;
        symbols.push(last);
    }
    Some(symbols)
}

fn next_symbol(table: &Table, last: u16, symbols: &mut Reader<'_>) -> Result<u16, PackError> {
    let mut byte = || Ok::<usize, PackError>(usize::from(symbols.bytes(1)?[0]));
    let mut code = byte()?;
    if code >= SHORT {
        code = SHORT + ((code - SHORT) << 8 | byte()?);
    }
    if code < EXPECTED {
        return table
            .expected(last)
            .get(code)
            .copied()
            .ok_or(PackError::Frame("an unknown rank"));
    }
    u16::try_from(code - EXPECTED).map_err(|_| PackError::Frame("an unknown symbol"))
}

/// Appends what [`Columns::squeeze`] was given, as `TracesData`. `bytes` without [`MARK`].
pub(super) fn expand(table: &Table, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), PackError> {
    let mut reader = Reader(bytes);
    let mut groups = Vec::new();
    let mut count: usize = 0;
    for _ in 0..reader.number::<usize>()? {
        let spans = reader.number::<usize>()?;
        let mut parts = [&[][..]; 4];
        for part in &mut parts {
            let len = reader.number()?;
            *part = reader.bytes(len)?;
        }
        count = count.saturating_add(spans);
        groups.push((spans, parts));
    }
    let trace_id = reader.bytes(16)?;
    let ids = reader.bytes(count.saturating_mul(SpanId::LEN))?;
    let ids: Vec<&[u8]> = ids.chunks_exact(SpanId::LEN).collect();
    let links = numbers(&mut reader, count)?;
    let base = reader
        .bytes(8)?
        .first_chunk()
        .map_or(0, |base| u64::from_le_bytes(*base));
    let times = numbers(&mut reader, 2 * count)?;
    let len = reader.number()?;
    let symbols = Reader(reader.bytes(len)?);
    let spans = Spans {
        table,
        trace_id,
        ids,
        links,
        base,
        times,
        place: 0,
        symbols,
        literals: reader,
    };
    let spans = write_groups(spans, &groups, out)?;
    if spans.symbols.is_empty() && spans.literals.is_empty() {
        Ok(())
    } else {
        Err(PackError::Frame("bytes left over"))
    }
}

fn numbers(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u64>, PackError> {
    // Each takes a byte at least, so that a mad count ends soon.
    Ok((0..count)
        .map(|_| reader.varint())
        .collect::<Result<_, _>>()?)
}

fn write_groups<'a>(
    mut all: Spans<'a>,
    groups: &[(usize, [&[u8]; 4])],
    out: &mut Vec<u8>,
) -> Result<Spans<'a>, PackError> {
    let put = |out: &mut Vec<u8>, tag, part: &[u8]| {
        if !part.is_empty() {
            write::bytes(out, tag, part);
        }
    };
    for (spans, [resource, resource_schema, scope, scope_schema]) in groups {
        write::message(out, 1, |out| {
            put(out, 1, resource);
            write::message(out, 2, |out| {
                put(out, 1, scope);
                for _ in 0..*spans {
                    write::message(out, 2, |out| all.write_next(out))?;
                }
                put(out, 3, scope_schema);
                Ok::<(), PackError>(())
            })?;
            put(out, 3, resource_schema);
            Ok::<(), PackError>(())
        })?;
    }
    Ok(all)
}

/// The spans of a frame, to be written one after the other.
struct Spans<'a> {
    table: &'a Table,
    trace_id: &'a [u8],
    ids: Vec<&'a [u8]>,
    links: Vec<u64>,
    base: u64,
    times: Vec<u64>,
    place: usize,
    symbols: Reader<'a>,
    literals: Reader<'a>,
}

impl Spans<'_> {
    fn write_next(&mut self, out: &mut Vec<u8>) -> Result<(), PackError> {
        let place = self.place;
        self.place += 1;
        write::bytes(out, 1, self.trace_id);
        write::bytes(out, 2, self.ids[place]);
        match self.links[place] {
            NO_PARENT => {}
            FOREIGN => write::bytes(out, 4, self.literals.bytes(SpanId::LEN)?),
            near => {
                let parent = unzigzag(near - NEAR).checked_add_unsigned(place as u64);
                let parent = parent.and_then(|parent| self.ids.get(usize::try_from(parent).ok()?));
                write::bytes(
                    out,
                    4,
                    parent.ok_or(PackError::Frame("a parent that is not there"))?,
                );
            }
        }
        let mut last = END;
        loop {
            last = next_symbol(self.table, last, &mut self.symbols)?;
            if last == END {
                return Ok(());
            }
            self.write_field(last, out)?;
            if out.len() > FRAME_BYTES_MAX {
                return Err(PackError::Frame("of a mad size"));
            }
        }
    }

    fn write_field(&mut self, symbol: u16, out: &mut Vec<u8>) -> Result<(), PackError> {
        match symbol {
            RAW => {
                let len = self.literals.number()?;
                out.extend_from_slice(self.literals.bytes(len)?);
            }
            TIMES => {
                let [from, took] =
                    [2 * self.place - 2, 2 * self.place - 1].map(|at| self.times[at]);
                let from = self.base.wrapping_add_signed(unzigzag(from));
                write::fixed64(out, 7, from);
                write::fixed64(out, 8, from.wrapping_add_signed(unzigzag(took)));
            }
            _ => match self
                .table
                .entry(symbol)
                .ok_or(PackError::Frame("an unknown symbol"))?
            {
                Entry::Whole(whole) => out.extend_from_slice(whole),
                Entry::Key { kind, key } => {
                    let unknown = Attribute {
                        key,
                        kind,
                        value: &[],
                    };
                    let len = unknown.value_len(self.literals.0);
                    let len = len.ok_or(PackError::Frame("a value cut short"))?;
                    Attribute {
                        value: self.literals.bytes(len)?,
                        ..unknown
                    }
                    .write(out);
                }
            },
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

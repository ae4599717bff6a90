//! Spans by columns and symbols, before zstd: a third of the bytes, and alike what other rows have.
//!
//! Layout, numbers as varints: a zero byte (no `TracesData` starts so); the number of groups, and
//! of spans in each; per span the link to its parent; the length of the symbols, the symbols, the
//! literals they call for. A group's symbols say its four parts and come before those of its spans.
//!
//! Ids and times do not get smaller, and would spoil the rest. So they stand behind the zstd frame as
//! they are: the trace id; the span ids; the first start, then per span start and duration as signed
//! differences.
//!
//! A span is taken to start with trace id and span id, then its parent's id if it has one.

use super::PackError;
use super::ROW_BYTES_READ_MAX;
use super::places::Places;
use super::table::{Attribute, END, EXPECTED, Entry, PART, RAW, TIMES, Table};
use crate::segment::{Field, Reader, fields};
use hoplog_model::SpanId;
use hoplog_otlp::write::{self, varint};
use hoplog_otlp::{Group, SpanRef, SpanSet};
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

/// Hears of every field as it is squeezed, so that nobody has to read the span again.
pub(crate) trait Listener<'a> {
    /// A field that is the table's, whole: each time the same bytes for the same symbol.
    fn known(&mut self, symbol: u16, field: &Field<'a>);
    /// An attribute whose key is the table's.
    fn keyed(&mut self, symbol: u16, attribute: &Attribute<'a>, field: &Field<'a>);
    /// Any other field, ids and times aside.
    fn other(&mut self, field: &Field<'a>);
    /// The fields so far were this span's.
    fn end(&mut self, span: SpanRef<'a>);
}

/// Nobody listens.
impl<'a> Listener<'a> for () {
    fn known(&mut self, _: u16, _: &Field<'a>) {}
    fn keyed(&mut self, _: u16, _: &Attribute<'a>, _: &Field<'a>) {}
    fn other(&mut self, _: &Field<'a>) {}
    fn end(&mut self, _: SpanRef<'a>) {}
}

/// The columns of a frame; kept for the next.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// Indices of the spans, by group.
    order: Vec<usize>,
    groups: Vec<u8>,
    ids: Vec<u8>,
    links: Vec<u8>,
    times: Vec<u8>,
    symbols: Vec<u8>,
    literals: Vec<u8>,
    places: Places,
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
            ..
        } = self;
        [groups, ids, links, times, symbols, literals]
            .into_iter()
            .for_each(Vec::clear);
        (self.trace_id, self.base) = (None, None);
    }

    /// Appends the chosen spans to `out`, and what is not to be compressed to `tail`. None (and nothing
    /// done) if a span is out of the ordinary; what the listener has heard until then is only a part.
    pub(super) fn squeeze<'a>(
        &mut self,
        table: &Table,
        spans: &'a SpanSet,
        pick: impl Fn(usize) -> bool,
        listener: &mut impl Listener<'a>,
        (out, tail): (&mut Vec<u8>, &mut Vec<u8>),
    ) -> Option<()> {
        self.clear();
        let mut order = std::mem::take(&mut self.order);
        spans.order_by_group(pick, &mut order);
        let said = self.say_all(table, spans, &order, listener);
        self.order = order;
        said?;
        let (trace_id, base) = (self.trace_id?, self.base?);
        tail.extend_from_slice(&trace_id);
        tail.extend_from_slice(&self.ids);
        tail.extend_from_slice(&base.to_le_bytes());
        tail.extend_from_slice(&self.times);
        out.push(MARK);
        out.extend_from_slice(&self.groups);
        out.extend_from_slice(&self.links);
        varint(out, self.symbols.len() as u64);
        out.extend_from_slice(&self.symbols);
        out.extend_from_slice(&self.literals);
        Some(())
    }

    fn say_all<'a>(
        &mut self,
        table: &Table,
        spans: &'a SpanSet,
        order: &[usize],
        listener: &mut impl Listener<'a>,
    ) -> Option<()> {
        let get = |index: &usize| spans.get(*index).expect("an index of this set");
        self.places
            .fill(order.iter().map(|index| get(index).head.span_id));
        let groups = || order.chunk_by(|a, b| Arc::ptr_eq(get(a).group, get(b).group));
        varint(&mut self.groups, groups().count() as u64);
        let mut place = 0;
        for indices in groups() {
            varint(&mut self.groups, indices.len() as u64);
            self.group(table, get(&indices[0]).group);
            for span in indices.iter().map(get) {
                self.span(table, span.raw, place, listener)?;
                listener.end(span);
                place += 1;
            }
        }
        Some(())
    }

    fn group(&mut self, table: &Table, group: &Group) {
        let last = self.message(table, PART, &group.resource);
        let last = self.symbol(table, last, PART);
        let last = self.whole(table, last, &group.resource_schema);
        let last = self.symbol(table, last, PART);
        let last = self.message(table, last, &group.scope);
        let last = self.symbol(table, last, PART);
        let last = self.whole(table, last, &group.scope_schema);
        self.symbol(table, last, END);
    }

    /// Says a message field by field.
    fn message(&mut self, table: &Table, before: u16, message: &[u8]) -> u16 {
        let said = (self.symbols.len(), self.literals.len());
        let mut last = before;
        match fields(message, |field| last = self.whole(table, last, field.whole)) {
            Some(()) => last,
            None => {
                self.symbols.truncate(said.0);
                self.literals.truncate(said.1);
                self.raw(table, before, message)
            }
        }
    }

    /// Says these bytes, if there are any.
    fn whole(&mut self, table: &Table, last: u16, bytes: &[u8]) -> u16 {
        if bytes.is_empty() {
            return last;
        }
        if let Some((symbol, rank)) = table.find_expected(last, bytes) {
            return self.say(symbol, Some(rank));
        }
        match table.find(bytes) {
            Some(symbol) => self.say(symbol, None),
            None => self.raw(table, last, bytes),
        }
    }

    fn raw(&mut self, table: &Table, last: u16, bytes: &[u8]) -> u16 {
        varint(&mut self.literals, bytes.len() as u64);
        self.literals.extend_from_slice(bytes);
        self.symbol(table, last, RAW)
    }

    fn span<'a>(
        &mut self,
        table: &Table,
        raw: &'a [u8],
        place: i64,
        listener: &mut impl Listener<'a>,
    ) -> Option<()> {
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
                            last = self.field(table, last, &field, listener);
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
            .and_then(|id| i64::try_from(self.places.find(&id)?).ok());
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
    fn field<'a>(
        &mut self,
        table: &Table,
        last: u16,
        field: &Field<'a>,
        listener: &mut impl Listener<'a>,
    ) -> u16 {
        if let Some((symbol, rank)) = table.find_expected(last, field.whole) {
            listener.known(symbol, field);
            return self.say(symbol, Some(rank));
        }
        let attribute = Attribute::of(field);
        let key = attribute.and_then(|attribute| table.find_key(last, &attribute));
        if key.is_none_or(|(key, _)| table.has_wholes(key))
            && let Some(symbol) = table.find(field.whole)
        {
            listener.known(symbol, field);
            return self.say(symbol, None);
        }
        if let Some((attribute, (symbol, rank))) = attribute.zip(key) {
            listener.keyed(symbol, &attribute, field);
            self.literals.extend_from_slice(attribute.value);
            return self.say(symbol, rank);
        }
        listener.other(field);
        self.raw(table, last, field.whole)
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

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// The symbols of a row's groups and spans as [`Columns::squeeze`] would say them, for those who learn: each
/// list with the symbol that stands before it. Spans that are out of the ordinary are left out.
pub(super) fn symbols_of(table: &Table, spans: &SpanSet) -> Vec<(u16, Vec<u16>)> {
    let mut columns = Columns::default();
    let mut all = Vec::new();
    for group in spans.groups() {
        columns.clear();
        columns.group(table, group);
        all.extend(columns.said(table, PART).map(|said| (PART, said)));
    }
    for span in spans.iter() {
        columns.clear();
        let said = columns.span(table, span.raw, 0, &mut ());
        let said = said.and_then(|()| columns.said(table, END));
        all.extend(said.map(|said| (END, said)));
    }
    all
}

impl Columns {
    /// The symbols said so far, as they are read.
    fn said(&self, table: &Table, before: u16) -> Option<Vec<u16>> {
        let (mut symbols, mut last, mut reader) = (Vec::new(), before, Reader(&self.symbols));
        while !reader.is_empty() {
            last = next_symbol(table, last, &mut reader).ok()?;
            symbols.push(last);
        }
        Some(symbols)
    }
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

/// Appends what [`Columns::squeeze`] was given, as `TracesData`. `bytes` without [`MARK`]; `tail` is
/// left with what stands behind it.
pub(super) fn expand(
    table: &Table,
    bytes: &[u8],
    tail: &mut &[u8],
    out: &mut Vec<u8>,
) -> Result<(), PackError> {
    let mut reader = Reader(bytes);
    let mut groups = Vec::new();
    let mut count: usize = 0;
    for _ in 0..reader.number::<usize>()? {
        let spans = reader.number::<usize>()?;
        count = count.saturating_add(spans);
        groups.push(spans);
    }
    let links = numbers(&mut reader, count)?;
    let len = reader.number()?;
    let symbols = Reader(reader.bytes(len)?);
    let mut behind = Reader(tail);
    let trace_id = behind.bytes(16)?;
    let ids = behind.bytes(count.saturating_mul(SpanId::LEN))?;
    let ids: Vec<&[u8]> = ids.chunks_exact(SpanId::LEN).collect();
    let base = behind
        .bytes(8)?
        .first_chunk()
        .map_or(0, |base| u64::from_le_bytes(*base));
    let times = numbers(&mut behind, count.saturating_mul(2))?;
    *tail = behind.0;
    let mut spans = Spans {
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
    for count in groups {
        spans.write_group(count, out)?;
    }
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

/// Symbols say much in a byte, damaged ones too.
fn bounded(out: &[u8]) -> Result<(), PackError> {
    if out.len() > ROW_BYTES_READ_MAX {
        return Err(PackError::Frame("of a mad size"));
    }
    Ok(())
}

fn put(out: &mut Vec<u8>, tag: u32, part: &[u8]) {
    if !part.is_empty() {
        write::bytes(out, tag, part);
    }
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
    fn write_group(&mut self, spans: usize, out: &mut Vec<u8>) -> Result<(), PackError> {
        let [resource, resource_schema, scope, scope_schema] = self.read_group()?;
        write::message(out, 1, |out| {
            put(out, 1, &resource);
            write::message(out, 2, |out| {
                put(out, 1, &scope);
                for _ in 0..spans {
                    write::message(out, 2, |out| self.write_next(out))?;
                }
                put(out, 3, &scope_schema);
                Ok::<(), PackError>(())
            })?;
            put(out, 3, &resource_schema);
            Ok::<(), PackError>(())
        })?;
        bounded(out)
    }

    /// The four parts of the next group.
    fn read_group(&mut self) -> Result<[Vec<u8>; 4], PackError> {
        let (mut parts, mut part, mut last) = ([const { Vec::new() }; 4], 0, PART);
        loop {
            last = next_symbol(self.table, last, &mut self.symbols)?;
            let bytes: &mut Vec<u8> = &mut parts[part];
            match last {
                END => return Ok(parts),
                PART if part < 3 => part += 1,
                RAW => {
                    let len = self.literals.number()?;
                    bytes.extend_from_slice(self.literals.bytes(len)?);
                }
                _ => match self.table.entry(last) {
                    Some(Entry::Whole(whole)) => bytes.extend_from_slice(whole),
                    _ => return Err(PackError::Frame("a symbol that no group has")),
                },
            }
            bounded(bytes)?;
        }
    }

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
            bounded(out)?;
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

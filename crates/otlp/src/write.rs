//! Writing protobuf: keys, varints, length-delimited fields, messages of unknown length.

/// Appends a varint of 1 to 10 bytes.
pub fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low7(value) | 0x80);
        value >>= 7;
    }
    out.push(low7(value));
}

fn low7(value: u64) -> u8 {
    u8::try_from(value & 0x7f).expect("seven bits")
}

/// Bytes that [`varint`] needs for `value`, 1 to 10.
pub fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

fn key(out: &mut Vec<u8>, tag: u32, wire_type: u32) {
    varint(out, u64::from(tag << 3 | wire_type));
}

/// Appends a varint field (int32, int64, uint32, uint64, bool, enum).
pub fn uint(out: &mut Vec<u8>, tag: u32, value: u64) {
    key(out, tag, crate::wire::VARINT);
    varint(out, value);
}

/// Appends a fixed64 (or, of its bits, a double) field.
pub fn fixed64(out: &mut Vec<u8>, tag: u32, value: u64) {
    key(out, tag, crate::wire::FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a fixed32 field.
pub fn fixed32(out: &mut Vec<u8>, tag: u32, value: u32) {
    key(out, tag, crate::wire::FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a string, bytes or message field that is already there as bytes.
pub fn bytes(out: &mut Vec<u8>, tag: u32, value: &[u8]) {
    len_prefix(out, tag, value.len());
    out.extend_from_slice(value);
}

/// Appends the key and length of a field whose `len` bytes the caller appends next.
pub fn len_prefix(out: &mut Vec<u8>, tag: u32, len: usize) {
    key(out, tag, crate::wire::LEN);
    varint(out, len as u64);
}

/// Bytes of a length-delimited field with `len` bytes in it: key, length and content.
pub fn len_delimited_len(tag: u32, len: usize) -> usize {
    varint_len(u64::from(tag << 3)) + varint_len(len as u64) + len
}

/// Appends a message field whose content `body` appends: the length is put in afterwards.
pub fn message<T>(out: &mut Vec<u8>, tag: u32, body: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    key(out, tag, crate::wire::LEN);
    let start = out.len();
    out.push(0);
    let result = body(out);
    close(out, start);
    result
}

/// Writes the length of what follows the placeholder byte at `start`, making room if need be.
fn close(out: &mut Vec<u8>, start: usize) {
    let len = out.len() - start - 1;
    let extra = varint_len(len as u64) - 1;
    if extra > 0 {
        let end = out.len();
        out.resize(end + extra, 0);
        out.copy_within(start + 1..end, start + 1 + extra);
    }
    let mut rest = len as u64;
    for place in &mut out[start..=start + extra] {
        *place = low7(rest) | 0x80;
        rest >>= 7;
    }
    out[start + extra] &= 0x7f;
}

/// Appends an attribute (`KeyValue`) with a string value.
pub fn string_attribute(out: &mut Vec<u8>, tag: u32, name: &str, value: &str) {
    let any = len_delimited_len(1, value.len());
    len_prefix(
        out,
        tag,
        len_delimited_len(1, name.len()) + len_delimited_len(2, any),
    );
    bytes(out, 1, name.as_bytes());
    len_prefix(out, 2, any);
    bytes(out, 1, value.as_bytes());
}

/// Appends an attribute (`KeyValue`) with an integer value.
pub fn int_attribute(out: &mut Vec<u8>, tag: u32, name: &str, value: i64) {
    let any = 1 + varint_len(value.cast_unsigned());
    len_prefix(
        out,
        tag,
        len_delimited_len(1, name.len()) + len_delimited_len(2, any),
    );
    bytes(out, 1, name.as_bytes());
    len_prefix(out, 2, any);
    uint(out, 3, value.cast_unsigned());
}

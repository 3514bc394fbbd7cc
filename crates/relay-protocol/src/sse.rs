//! Server-sent events: where one frame ends and the next begins, whatever the chunks.
//!
//! Works on bytes: no text decoding, no copy of a frame that lies within one chunk. Line ends may
//! be LF, CRLF or CR, as the standard says; a byte order mark at the start and comments are passed
//! over.

use std::borrow::Cow;

/// Finds the frames of one stream, chunk by chunk.
#[derive(Debug, Default)]
pub struct FrameScanner {
    /// The beginning of the frame that the chunks so far left open, up to [`MAX_FRAME_BYTES`].
    partial: Vec<u8>,
    /// More of that frame has passed than `partial` holds.
    overlong: bool,
    /// What the last byte was.
    tail: Tail,
    /// The last CR whose next byte is known had no LF.
    bare_cr: bool,
    /// A frame has ended: a byte order mark is no longer one.
    begun: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Tail {
    /// The end of a line, or there was none yet.
    #[default]
    LineEnd,
    /// A CR, which ends a line too; an LF that follows belongs to it.
    Cr,
    /// Part of a line.
    InLine,
}

/// One frame: the lines between two blank lines.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    bytes: &'a [u8],
    whole: bool,
}

/// How much of a frame is kept while its end is awaited. What is longer still passes, but its data
/// is not looked at: no event that carries usage or an error comes near this size.
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// A buffer that grew beyond this for one frame is given back, so that a stream stays small.
const KEPT_BUFFER_BYTES: usize = 4096;

impl FrameScanner {
    /// Takes the next bytes of the stream and hands every frame that ends in them to `on_frame`,
    /// in order.
    pub fn feed(&mut self, chunk: &[u8], mut on_frame: impl FnMut(Frame<'_>)) {
        let Some(&first) = chunk.first() else { return };
        let mut at = 0;
        if self.tail == Tail::Cr {
            self.bare_cr = first != b'\n';
            at = usize::from(first == b'\n');
        }
        // An LF that completes the CR of a blank line belongs to no frame.
        let mut frame_start = if self.partial.is_empty() { at } else { 0 };
        let mut in_line = self.tail == Tail::InLine;
        self.tail = Tail::LineEnd;
        while let Some(found) = memchr::memchr2(b'\n', b'\r', &chunk[at..]) {
            let line_end = at + found;
            let blank = found == 0 && !in_line;
            in_line = false;
            at = line_end + 1;
            if chunk[line_end] == b'\r' {
                match chunk.get(at) {
                    Some(b'\n') => {
                        at += 1;
                        self.bare_cr = false;
                    }
                    Some(_) => self.bare_cr = true,
                    None => self.tail = Tail::Cr,
                }
            }
            if blank {
                self.end_frame(&chunk[frame_start..line_end], &mut on_frame);
                frame_start = at;
            }
        }
        if in_line || at < chunk.len() {
            self.tail = Tail::InLine;
        }
        self.keep(&chunk[frame_start..]);
    }

    /// Whether the last byte ended a whole frame, so that another frame may be put in here.
    ///
    /// Not between the CR and the LF of a blank line: a CR at the end of a chunk only counts as an
    /// end in a stream that has shown that it uses bare CRs.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.partial.is_empty() && (self.tail != Tail::Cr || self.bare_cr)
    }

    /// How many of the bytes so far belong to a frame whose end has not come. Zero for one that is too
    /// long to wait for.
    #[must_use]
    pub fn open_bytes(&self) -> usize {
        if self.overlong { 0 } else { self.partial.len() }
    }

    fn end_frame(&mut self, rest: &[u8], on_frame: &mut impl FnMut(Frame<'_>)) {
        if self.partial.is_empty() {
            if !rest.is_empty() {
                let bytes = self.without_mark(rest);
                on_frame(Frame { bytes, whole: true });
            }
            return;
        }
        self.keep(rest);
        let mut partial = std::mem::take(&mut self.partial);
        on_frame(Frame { bytes: self.without_mark(&partial), whole: !self.overlong });
        self.overlong = false;
        if partial.capacity() <= KEPT_BUFFER_BYTES {
            partial.clear();
            self.partial = partial;
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_FRAME_BYTES - self.partial.len();
        self.overlong |= room < bytes.len();
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn without_mark<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if std::mem::replace(&mut self.begun, true) {
            return bytes;
        }
        bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
    }
}

impl<'a> Frame<'a> {
    /// Its bytes, without the blank line: all of them, or as many as are kept.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The value of the frame's `event` field, the last one if there are several.
    #[must_use]
    pub fn event(&self) -> Option<&'a [u8]> {
        self.values(b"event").last()
    }

    /// The values of the frame's `data` fields, joined by LF. `None`: it has none, as a comment, or
    /// it was too long to be kept whole.
    #[must_use]
    pub fn data(&self) -> Option<Cow<'a, [u8]>> {
        if !self.whole {
            return None;
        }
        let mut lines = self.values(b"data");
        let first = lines.next()?;
        Some(lines.fold(Cow::Borrowed(first), |mut data, line| {
            data.to_mut().push(b'\n');
            data.to_mut().extend_from_slice(line);
            data
        }))
    }

    fn values(&self, field: &'static [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        lines(self.bytes).filter_map(move |line| {
            let behind = line.strip_prefix(field)?;
            match behind.split_first() {
                None => Some(behind),
                Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
                Some(_) => None,
            }
        })
    }
}

fn lines(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, terminator) = rest.split_at(end);
        // The LF of a CRLF then looks like an empty line, which holds no field.
        rest = terminator.get(1..).unwrap_or_default();
        Some(line)
    })
}

#[cfg(test)]
mod tests;

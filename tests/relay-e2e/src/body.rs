//! The framing of an answer's body, taken off as the bytes come in.

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Framing {
    /// There is none.
    Empty,
    /// By its length.
    Length(usize),
    /// By a last chunk.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// A body as far as it has come.
#[derive(Debug)]
pub(crate) struct Body {
    framing: Framing,
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_complete: bool,
}

impl Body {
    pub(crate) fn new(framing: Framing) -> Self {
        let is_complete = matches!(framing, Framing::Empty | Framing::Length(0));
        Self { framing, bytes: Vec::new(), is_complete }
    }

    /// Takes what is whole out of `raw`.
    pub(crate) fn take(&mut self, raw: &mut Vec<u8>) {
        match self.framing {
            Framing::Empty => {}
            Framing::Close => self.bytes.append(raw),
            Framing::Length(length) => {
                let missing = length - self.bytes.len();
                self.bytes.extend(raw.drain(..missing.min(raw.len())));
                self.is_complete = self.bytes.len() == length;
            }
            Framing::Chunked => while !self.is_complete && self.take_chunk(raw) {},
        }
    }

    /// The peer closed the connection in an orderly way.
    pub(crate) fn close(&mut self) {
        if self.framing == Framing::Close {
            self.is_complete = true;
        }
    }

    /// Takes one chunk, if all of it is there.
    fn take_chunk(&mut self, raw: &mut Vec<u8>) -> bool {
        let Some(line) = raw.windows(2).position(|pair| pair == b"\r\n") else { return false };
        let size = str::from_utf8(&raw[..line]).ok();
        let size = size.and_then(|text| text.split(';').next());
        let Some(size) = size.and_then(|text| usize::from_str_radix(text.trim(), 16).ok()) else {
            panic!("not the size of a chunk: {:?}", String::from_utf8_lossy(&raw[..line]));
        };
        let end = line + 2 + size + 2;
        if raw.len() < end {
            return false;
        }
        assert_eq!(&raw[end - 2..end], b"\r\n", "a chunk is not as long as it says");
        self.bytes.extend_from_slice(&raw[line + 2..end - 2]);
        raw.drain(..end);
        self.is_complete = size == 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_out_of_any_split() {
        type Case = (&'static str, Framing, &'static [u8], &'static [u8], bool);
        let cases: [Case; 6] = [
            ("nothing", Framing::Empty, b"", b"", true),
            ("a length", Framing::Length(3), b"abc", b"abc", true),
            ("a length, cut", Framing::Length(3), b"ab", b"ab", false),
            ("chunks", Framing::Chunked, b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", b"abc", true),
            ("chunks, cut between", Framing::Chunked, b"2\r\nab\r\n", b"ab", false),
            ("chunks, cut within", Framing::Chunked, b"2\r\nab\r\n3\r\nc", b"ab", false),
        ];
        for (name, framing, wire, expected, is_complete) in cases {
            let mut body = Body::new(framing);
            let mut raw = Vec::new();
            for byte in wire {
                raw.push(*byte);
                body.take(&mut raw);
            }
            assert_eq!(
                (body.bytes.as_slice(), body.is_complete),
                (expected, is_complete),
                "{name}"
            );
        }
    }
}

//! The scanner: a cursor over the bytes of one JSON document.
//!
//! Structure is checked in full: brackets, commas, colons, literals, numbers, terminated strings,
//! nothing after the end. What stands *inside* a skipped string is not: a bad escape, a control
//! character or bytes that are no UTF-8 are left for the provider to refuse, because looking for
//! them would double the cost of the hottest loop of the project. Nothing recurses, so depth costs
//! a bit per level and cannot exhaust the stack.

use std::borrow::Cow;
use std::ops::Range;

use super::string::unescape;
use crate::ScanError;

/// A place in a JSON document, moving forward only.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A value that was skipped: where it stands, and its bytes.
pub(crate) struct Value<'a> {
    pub(crate) span: Range<usize>,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes are behind the cursor.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// The next byte that is not white space, which stays in front of the cursor.
    #[inline]
    pub(crate) fn peek(&mut self) -> Result<u8, ScanError> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(&byte) => return Ok(byte),
                None => return Err(self.fault("it ends too early")),
            }
        }
    }

    /// Checks that nothing but white space is left.
    pub(crate) fn finish(mut self) -> Result<(), ScanError> {
        match self.peek() {
            Ok(_) => Err(self.fault("something follows the object")),
            Err(_) => Ok(()),
        }
    }

    /// Walks the members of the object in front of the cursor. `member` gets each key, its escapes
    /// resolved, and must consume the value.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &[u8]) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        self.eat(b'{', "expected an object")?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.key()?;
            member(self, &key)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return Err(self.fault("expected `,` or `}`")),
            }
        }
        self.at += 1;
        Ok(())
    }

    /// As [`Cursor::object`], but skips a value that is not an object.
    pub(crate) fn object_or_skip(
        &mut self,
        member: impl FnMut(&mut Self, &[u8]) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        if self.peek()? == b'{' { self.object(member) } else { self.skip() }
    }

    /// Walks the array in front of the cursor. `element` must consume one value.
    pub(crate) fn array(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        self.eat(b'[', "expected an array")?;
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            element(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return Err(self.fault("expected `,` or `]`")),
            }
        }
        self.at += 1;
        Ok(())
    }

    /// Skips the value in front of the cursor and returns it.
    pub(crate) fn value(&mut self) -> Result<Value<'a>, ScanError> {
        self.peek()?;
        let start = self.at;
        self.skip()?;
        Ok(Value { span: start..self.at, bytes: &self.bytes[start..self.at] })
    }

    /// Skips the value in front of the cursor, whatever its depth.
    pub(crate) fn skip(&mut self) -> Result<(), ScanError> {
        let mut nesting = Nesting::default();
        loop {
            match self.peek()? {
                b'"' => self.skip_string()?,
                b'{' => {
                    self.at += 1;
                    nesting.push(OBJECT);
                    if self.peek()? != b'}' {
                        self.skip_key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    nesting.push(ARRAY);
                    if self.peek()? != b']' {
                        continue;
                    }
                }
                b't' => self.skip_literal(b"true")?,
                b'f' => self.skip_literal(b"false")?,
                b'n' => self.skip_literal(b"null")?,
                _ => self.skip_number()?,
            }
            if self.close(&mut nesting)? {
                return Ok(());
            }
        }
    }

    /// After a value: closes what ends here. `true`: the outermost value is complete; `false`: the
    /// cursor is in front of the next value.
    #[inline]
    fn close(&mut self, nesting: &mut Nesting) -> Result<bool, ScanError> {
        while nesting.depth != 0 {
            match (self.peek()?, nesting.innermost()) {
                (b',', OBJECT) => {
                    self.at += 1;
                    self.skip_key()?;
                    return Ok(false);
                }
                (b',', _) => {
                    self.at += 1;
                    return Ok(false);
                }
                (b'}', OBJECT) | (b']', ARRAY) => {
                    self.at += 1;
                    nesting.pop();
                }
                (_, OBJECT) => return Err(self.fault("expected `,` or `}`")),
                (..) => return Err(self.fault("expected `,` or `]`")),
            }
        }
        Ok(true)
    }

    fn eat(&mut self, byte: u8, problem: &'static str) -> Result<(), ScanError> {
        if self.peek()? != byte {
            return Err(self.fault(problem));
        }
        self.at += 1;
        Ok(())
    }

    /// Reads a key and its colon.
    fn key(&mut self) -> Result<Cow<'a, [u8]>, ScanError> {
        self.peek_key()?;
        let start = self.at;
        self.skip_string()?;
        let literal = &self.bytes[start..self.at];
        self.eat(b':', "expected `:`")?;
        if memchr::memchr(b'\\', literal).is_none() {
            return Ok(Cow::Borrowed(&literal[1..literal.len() - 1]));
        }
        match unescape(literal) {
            Some(text) => Ok(Cow::Owned(text.into_owned().into_bytes())),
            None => Err(ScanError::NotJson { offset: start, problem: "a key has a bad escape" }),
        }
    }

    #[inline]
    fn skip_key(&mut self) -> Result<(), ScanError> {
        self.peek_key()?;
        self.skip_string()?;
        self.eat(b':', "expected `:`")
    }

    #[inline]
    fn peek_key(&mut self) -> Result<(), ScanError> {
        if self.peek()? == b'"' {
            return Ok(());
        }
        Err(self.fault("expected a key in double quotes"))
    }

    /// Skips from an opening quote to behind its closing one.
    ///
    /// Looks for quotes only: a quote closes the string unless an odd number of backslashes stands
    /// before it. So the many `\n` of code cost nothing, where stopping at each escape would.
    #[inline]
    fn skip_string(&mut self) -> Result<(), ScanError> {
        let start = self.at + 1;
        let mut from = start;
        while let Some(found) = memchr::memchr(b'"', self.bytes.get(from..).unwrap_or_default()) {
            let quote = from + found;
            let backslashes =
                self.bytes[start..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
            from = quote + 1;
            if backslashes % 2 == 0 {
                self.at = from;
                return Ok(());
            }
        }
        Err(self.fault("a string has no end"))
    }

    fn skip_literal(&mut self, literal: &[u8]) -> Result<(), ScanError> {
        if !self.bytes[self.at..].starts_with(literal) {
            return Err(self.fault("expected a value"));
        }
        self.at += literal.len();
        Ok(())
    }

    fn skip_number(&mut self) -> Result<(), ScanError> {
        self.skip_if(|byte| byte == b'-');
        let leading_zero = self.skip_if(|byte| byte == b'0');
        if !leading_zero {
            self.skip_digits("expected a value")?;
        }
        if self.skip_if(|byte| byte == b'.') {
            self.skip_digits("expected a digit")?;
        }
        if self.skip_if(|byte| matches!(byte, b'e' | b'E')) {
            self.skip_if(|byte| matches!(byte, b'+' | b'-'));
            self.skip_digits("expected a digit")?;
        }
        Ok(())
    }

    fn skip_digits(&mut self, problem: &'static str) -> Result<(), ScanError> {
        if !self.skip_if(|byte| byte.is_ascii_digit()) {
            return Err(self.fault(problem));
        }
        while self.skip_if(|byte| byte.is_ascii_digit()) {}
        Ok(())
    }

    fn skip_if(&mut self, wanted: impl FnOnce(u8) -> bool) -> bool {
        let found = self.bytes.get(self.at).is_some_and(|byte| wanted(*byte));
        self.at += usize::from(found);
        found
    }

    #[cold]
    fn fault(&self, problem: &'static str) -> ScanError {
        ScanError::NotJson { offset: self.at, problem }
    }
}

impl<'a> Value<'a> {
    pub(crate) fn is_null(&self) -> bool {
        self.bytes == b"null"
    }

    pub(crate) fn is_string(&self) -> bool {
        self.bytes.first() == Some(&b'"')
    }

    /// The text, if this is a string whose escapes and UTF-8 are sound.
    pub(crate) fn as_text(&self) -> Option<Cow<'a, str>> {
        unescape(self.bytes)
    }

    /// The number, if this is one written as a non-negative integer below 2⁶⁴.
    pub(crate) fn as_u64(&self) -> Option<u64> {
        std::str::from_utf8(self.bytes).ok()?.parse().ok()
    }
}

const OBJECT: bool = true;
const ARRAY: bool = false;

/// Which kind of container is open at each level: a bit a level, the innermost 64 in a register.
#[derive(Default)]
struct Nesting {
    innermost: u64,
    outer: Vec<u64>,
    depth: usize,
}

impl Nesting {
    #[inline]
    fn innermost(&self) -> bool {
        self.innermost & 1 == 1
    }

    #[inline]
    fn push(&mut self, kind: bool) {
        if self.depth != 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.innermost);
        }
        self.innermost = (self.innermost << 1) | u64::from(kind);
        self.depth += 1;
    }

    #[inline]
    fn pop(&mut self) {
        self.depth -= 1;
        self.innermost >>= 1;
        if self.depth != 0 && self.depth.is_multiple_of(64) {
            self.innermost = self.outer.pop().unwrap_or_default();
        }
    }
}

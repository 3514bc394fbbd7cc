//! The parts of a text that may be a date, and a place among them.

/// How many digits of a number count.
const DIGITS: usize = 9;

/// A part of a text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Token<'a> {
    /// A row of digits.
    Number(&'a str),
    /// A row of letters, in lower case.
    Word(String),
    Symbol(char),
    Space,
}

pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_of = |belongs: fn(char) -> bool| {
            rest.split_at(rest.find(|c| !belongs(c)).unwrap_or(rest.len()))
        };
        let (token, after) = if first.is_ascii_digit() {
            let (digits, after) = is_of(|c| c.is_ascii_digit());
            (Token::Number(digits), after)
        } else if first.is_whitespace() {
            (Token::Space, is_of(char::is_whitespace).1)
        } else if is_letter(first) {
            let (word, after) = is_of(is_letter);
            (Token::Word(word.to_ascii_lowercase()), after)
        } else {
            (Token::Symbol(first), rest.split_at(first.len_utf8()).1)
        };
        tokens.push(token);
        rest = after;
    }
    tokens
}

/// Whether a character belongs to a word: any but white space from the letters of ASCII on.
fn is_letter(c: char) -> bool {
    'A' <= c && !c.is_whitespace()
}

/// A place in a text.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) tokens: &'a [Token<'a>],
}

impl<'a> Cursor<'a> {
    pub(super) fn peek(&self) -> Option<&'a Token<'a>> {
        self.tokens.first()
    }

    pub(super) fn next(&mut self) -> Option<&'a Token<'a>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    /// Whether `symbol` is next. Passes over it if it is.
    pub(super) fn skip(&mut self, symbol: char) -> bool {
        let is_next = self.peek() == Some(&Token::Symbol(symbol));
        if is_next {
            self.next();
        }
        is_next
    }

    /// The same of a word.
    pub(super) fn skip_word(&mut self, word: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Word(next)) if next == word);
        if is_next {
            self.next();
        }
        is_next
    }

    /// A row of digits.
    pub(super) fn digits(&mut self) -> Option<&'a str> {
        let Some(Token::Number(digits)) = self.peek() else { return None };
        self.next();
        Some(digits)
    }

    /// A number of exactly so many digits.
    pub(super) fn number_of(&mut self, digits: usize) -> Option<i64> {
        self.number_if(digits, |_| true)
    }

    /// The same if it `fits`.
    pub(super) fn number_if(&mut self, digits: usize, fits: impl Fn(i64) -> bool) -> Option<i64> {
        let Some(Token::Number(text)) = self.peek() else { return None };
        let number = Some(value(text)).filter(|number| text.len() == digits && fits(*number))?;
        self.next();
        Some(number)
    }

    /// A sign, as what it is multiplied with.
    pub(super) fn sign(&mut self) -> Option<i64> {
        if self.skip('+') { Some(1) } else { self.skip('-').then_some(-1) }
    }

    /// Passes over what is in parentheses, the first of which has been read.
    pub(super) fn skip_parentheses(&mut self) {
        let mut open = 1_u32;
        while 0 < open {
            match self.next() {
                Some(Token::Symbol('(')) => open = open.saturating_add(1),
                Some(Token::Symbol(')')) => open -= 1,
                Some(_) => {}
                None => return,
            }
        }
    }
}

/// The number that digits mean.
pub(super) fn value(digits: &str) -> i64 {
    let digits = digits.trim_start_matches('0').bytes().take(DIGITS);
    digits.fold(0, |number, digit| number * 10 + i64::from(digit - b'0'))
}

/// The milliseconds that the digits behind a second's point mean.
pub(super) fn milliseconds(digits: &str) -> i64 {
    digits.bytes().chain([b'0'; 3]).take(3).fold(0, |all, digit| all * 10 + i64::from(digit - b'0'))
}

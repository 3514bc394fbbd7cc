//! A bare client of Redis, to look at what is in it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use relay_testkit::RedisServer;

/// One connection.
pub(crate) struct RedisClient {
    stream: BufReader<TcpStream>,
}

impl RedisClient {
    pub(crate) fn connect(redis: &RedisServer) -> Self {
        let address = redis.url().trim_start_matches("redis://").trim_end_matches('/');
        Self { stream: BufReader::new(TcpStream::connect(address).unwrap()) }
    }

    /// Sends a command whose answer is a text, or nothing.
    pub(crate) fn text(&mut self, command: &[&str]) -> Option<String> {
        self.send(command);
        self.read_text()
    }

    /// Sends a command whose answer is a list of texts.
    pub(crate) fn texts(&mut self, command: &[&str]) -> Vec<String> {
        self.send(command);
        let line = self.read_line();
        let count = line.strip_prefix('*').and_then(|count| count.parse().ok());
        let count: usize = count.unwrap_or_else(|| panic!("{command:?} answers {line}"));
        (0..count).map(|_| self.read_text().unwrap()).collect()
    }

    /// Sends a command that answers with lists in lists, and returns every text in them.
    pub(crate) fn nested_texts(&mut self, command: &[&str]) -> Vec<String> {
        self.send(command);
        let (mut texts, mut left) = (Vec::new(), 1_usize);
        while 0 < left {
            left -= 1;
            if self.stream.fill_buf().unwrap().first() == Some(&b'*') {
                let line = self.read_line();
                left += line[1..].parse::<usize>().unwrap_or(0);
            } else {
                texts.extend(self.read_text());
            }
        }
        texts
    }

    fn send(&mut self, command: &[&str]) {
        let words = command.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
        let message = format!("*{}\r\n{}", command.len(), words.collect::<String>());
        self.stream.get_mut().write_all(message.as_bytes()).unwrap();
    }

    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn read_text(&mut self) -> Option<String> {
        let line = self.read_line();
        let (kind, rest) = line.split_at(1);
        match kind {
            "+" | ":" => Some(rest.to_owned()),
            "$" if rest == "-1" => None,
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.stream.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            _ => panic!("Redis says {line}"),
        }
    }
}

//! How a body is put on the wire: which pieces, which pauses, and where it breaks off. Pure: no IO, no clock.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::envelope;
use crate::script::Step;

/// One thing that the body does.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// Hands these bytes over.
    Send(Bytes),
    /// Counts a frame as sent.
    FrameDone,
    /// Waits until everything handed over has gone to the network.
    Flush,
    /// Sends nothing for this long.
    Wait(Duration),
    /// Closes the connection without a proper end.
    Cut,
}

/// How the end of a body is told on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Framing {
    /// By a last chunk: streams.
    Chunked,
    /// By the length in the head: everything else.
    Length,
}

/// Whether `step` needs more than handing its frames over.
pub(crate) fn is_paced(step: &Step) -> bool {
    step.delta_ms > 0
        || step.silence_after_frame.is_some()
        || step.truncate_at_byte.is_some()
        || step.truncate_at_frame.is_some()
        || step.chunk_bytes.is_some()
}

/// Applies what `step` does to the events of a stream as such.
pub(crate) fn reshape_events(frames: &mut Vec<Bytes>, step: &Step) {
    if let Some(end) = step.end_at_frame {
        frames.truncate(end);
    }
    if let Some(error) = &step.error_at_frame {
        frames.truncate(error.frame);
        frames.push(envelope::error_event(error));
    }
    if step.crlf {
        for frame in frames {
            *frame = with_crlf(frame);
        }
    }
}

/// The actions that send `frames` as `step` says.
pub(crate) fn actions(frames: Vec<Bytes>, step: &Step, framing: Framing) -> VecDeque<Action> {
    let mut actions = VecDeque::new();
    let mut bytes_left = step.truncate_at_byte.unwrap_or(usize::MAX);
    let last = frames.len().saturating_sub(1);
    for (index, mut frame) in frames.into_iter().enumerate() {
        if step.truncate_at_frame == Some(index) {
            actions.extend([Action::Flush, Action::Cut]);
            return actions;
        }
        if index > 0 && step.delta_ms > 0 {
            actions.push_back(Action::Wait(Duration::from_millis(step.delta_ms)));
        }
        let is_whole = frame.len() <= bytes_left;
        frame.truncate(bytes_left);
        bytes_left -= frame.len();
        push_pieces(&mut actions, frame, step.chunk_bytes);
        if !is_whole {
            actions.extend([Action::Flush, Action::Cut]);
            return actions;
        }
        actions.push_back(Action::FrameDone);
        if step.chunk_bytes.is_some() && index < last {
            actions.push_back(Action::Flush);
        }
        if let Some(silence) = step.silence_after_frame.filter(|silence| silence.frame == index) {
            actions.extend([Action::Flush, Action::Wait(Duration::from_millis(silence.ms))]);
        }
        // With a length in the head the body is over here, whatever happens to the connection.
        if index == last && bytes_left == 0 && framing == Framing::Chunked {
            actions.extend([Action::Flush, Action::Cut]);
        }
    }
    actions
}

fn push_pieces(actions: &mut VecDeque<Action>, mut frame: Bytes, chunk_bytes: Option<usize>) {
    let Some(chunk_bytes) = chunk_bytes else {
        if !frame.is_empty() {
            actions.push_back(Action::Send(frame));
        }
        return;
    };
    let mut is_first = true;
    while !frame.is_empty() {
        if !is_first {
            actions.push_back(Action::Flush);
        }
        is_first = false;
        actions.push_back(Action::Send(frame.split_to(chunk_bytes.clamp(1, frame.len()))));
    }
}

/// JSON escapes line ends, so every line feed of a frame is one of the protocol's own.
fn with_crlf(frame: &Bytes) -> Bytes {
    let mut lines = Vec::with_capacity(frame.len() + 4);
    for byte in frame {
        if *byte == b'\n' {
            lines.push(b'\r');
        }
        lines.push(*byte);
    }
    lines.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(text: &'static str) -> Action {
        Action::Send(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn every_fault_becomes_its_actions() {
        use Action::{Cut, Flush, FrameDone, Wait};
        let ms = Duration::from_millis;
        let cases = [
            ("plain", Step::new(), vec![send("abc"), FrameDone, send("de"), FrameDone]),
            (
                "slow drip",
                Step::new().delta_ms(9),
                vec![send("abc"), FrameDone, Wait(ms(9)), send("de"), FrameDone],
            ),
            (
                "silence after the first frame",
                Step::new().silence_after_frame(0, 7),
                vec![send("abc"), FrameDone, Flush, Wait(ms(7)), send("de"), FrameDone],
            ),
            ("cut inside a frame", Step::new().truncate_at_byte(2), vec![send("ab"), Flush, Cut]),
            ("cut before the first byte", Step::new().truncate_at_byte(0), vec![Flush, Cut]),
            (
                "cut between frames by bytes",
                Step::new().truncate_at_byte(3),
                vec![send("abc"), FrameDone, Flush, Cut],
            ),
            (
                "cut after the last byte",
                Step::new().truncate_at_byte(5),
                vec![send("abc"), FrameDone, send("de"), FrameDone, Flush, Cut],
            ),
            (
                "cut before a frame",
                Step::new().truncate_at_frame(1),
                vec![send("abc"), FrameDone, Flush, Cut],
            ),
            (
                "pieces of two",
                Step::new().chunk_bytes(2),
                vec![send("ab"), Flush, send("c"), FrameDone, Flush, send("de"), FrameDone],
            ),
        ];
        for (name, step, expected) in cases {
            let frames = vec![Bytes::from_static(b"abc"), Bytes::from_static(b"de")];
            assert_eq!(Vec::from(actions(frames, &step, Framing::Chunked)), expected, "{name}");
        }
    }

    #[test]
    fn events_are_reshaped_before_they_are_sent() {
        let frames =
            || vec![Bytes::from_static(b"data: 1\n\n"), Bytes::from_static(b"data: 2\n\n")];
        let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n";
        let cases = [
            ("unchanged", Step::new(), "data: 1\n\ndata: 2\n\n".to_owned()),
            ("ends early", Step::new().end_at_frame(1), "data: 1\n\n".to_owned()),
            (
                "error first",
                Step::new().error_at_frame(0, "overloaded_error", "x"),
                error.to_owned(),
            ),
            (
                "error second",
                Step::new().error_at_frame(1, "overloaded_error", "x"),
                format!("data: 1\n\n{error}"),
            ),
            ("line ends", Step::new().crlf(), "data: 1\r\n\r\ndata: 2\r\n\r\n".to_owned()),
        ];
        for (name, step, expected) in cases {
            let mut frames = frames();
            reshape_events(&mut frames, &step);
            assert_eq!(String::from_utf8(frames.concat()).unwrap(), expected, "{name}");
        }
    }
}

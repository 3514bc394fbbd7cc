//! Which conversation a request belongs to, by what the client says of it.

use std::ops::Range;

use crate::anthropic::RequestScan;

/// What a request tells about its conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SessionHint<'a> {
    /// The client named it.
    Explicit(&'a str),
    /// It did not; these bytes of the body stay the same from turn to turn. Never the last
    /// message, which is new in each.
    Fingerprint {
        /// The system prompt, if there is one.
        system: Option<Range<usize>>,
        /// The first message of the user.
        first_user: Range<usize>,
    },
    /// Nothing to go by.
    None,
}

/// The best hint there is: Claude Code's header, then the session in `metadata.user_id`, then the
/// session headers of other clients, then a fingerprint.
///
/// `header` looks up a header by its lower-case name. An empty value counts as absent. A hint is
/// the client's word, so a binding must be kept under the API key's id as well.
pub fn hint<'a>(
    header: impl Fn(&'static str) -> Option<&'a str>,
    scan: &'a RequestScan,
) -> SessionHint<'a> {
    let named = |name| header(name).map(str::trim).filter(|value| !value.is_empty());
    let explicit = named("x-claude-code-session-id")
        .or(scan.session_id.as_deref())
        .or_else(|| SESSION_HEADERS.into_iter().find_map(named));
    match (explicit, &scan.first_user_message) {
        (Some(session), _) => SessionHint::Explicit(session),
        (None, Some(first_user)) => {
            SessionHint::Fingerprint { system: scan.system.clone(), first_user: first_user.clone() }
        }
        (None, None) => SessionHint::None,
    }
}

/// In the order in which they are believed.
const SESSION_HEADERS: [&str; 4] =
    ["session-id", "session_id", "x-session-id", "x-session-affinity"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anthropic::scan_request;

    const NAMELESS: &[u8] =
        br#"{"model":"m","system":"s","messages":[{"role":"user","content":"hi"}]}"#;
    const NAMED: &[u8] =
        br#"{"model":"m","metadata":{"user_id":"{\"session_id\":\"from-body\"}"},"messages":[]}"#;

    type Case =
        (&'static str, &'static [(&'static str, &'static str)], &'static [u8], &'static str);

    #[test]
    fn the_first_rung_of_the_ladder_that_holds_is_taken() {
        let cases: [Case; 7] = [
            (
                "Claude Code's header before the body",
                &[("x-claude-code-session-id", "from-header"), ("session-id", "c")],
                NAMED,
                "from-header",
            ),
            ("the body before other headers", &[("session-id", "c")], NAMED, "from-body"),
            ("an empty header is none", &[("x-claude-code-session-id", " ")], NAMED, "from-body"),
            (
                "session-id before session_id",
                &[("session_id", "d"), ("session-id", "c")],
                NAMELESS,
                "c",
            ),
            (
                "session_id before x-session-id",
                &[("x-session-id", "e"), ("session_id", "d")],
                NAMELESS,
                "d",
            ),
            (
                "x-session-id before x-session-affinity",
                &[("x-session-affinity", "f"), ("x-session-id", "e")],
                NAMELESS,
                "e",
            ),
            ("x-session-affinity at last", &[("x-session-affinity", "f")], NAMELESS, "f"),
        ];
        for (name, headers, body, expected) in cases {
            let scan = scan_request(body).unwrap();
            let lookup = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
            assert_eq!(hint(lookup, &scan), SessionHint::Explicit(expected), "{name}");
        }
    }

    #[test]
    fn a_nameless_conversation_is_known_by_how_it_began() {
        let scan = scan_request(NAMELESS).unwrap();
        let SessionHint::Fingerprint { system, first_user } = hint(|_| None, &scan) else {
            panic!("not a fingerprint");
        };
        assert_eq!(&NAMELESS[system.unwrap()], br#""s""#);
        assert_eq!(&NAMELESS[first_user], br#"{"role":"user","content":"hi"}"#);
    }

    #[test]
    fn without_a_user_message_there_is_no_hint() {
        for body in [&br#"{"model":"m","system":"s"}"#[..], br#"{"model":"m","messages":[]}"#] {
            assert_eq!(hint(|_| None, &scan_request(body).unwrap()), SessionHint::None);
        }
    }
}

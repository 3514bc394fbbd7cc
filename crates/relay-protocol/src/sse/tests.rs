use super::*;

type Seen = (Option<Vec<u8>>, Option<Vec<u8>>);

fn frames<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Seen> {
    let mut scanner = FrameScanner::default();
    let mut seen = Vec::new();
    for chunk in chunks {
        scanner.feed(chunk, |frame| {
            seen.push((frame.event().map(<[u8]>::to_vec), frame.data().map(Cow::into_owned)));
        });
    }
    seen
}

fn seen(event: Option<&str>, data: Option<&str>) -> Seen {
    (event.map(Into::into), data.map(Into::into))
}

#[test]
fn frames_are_read_as_the_standard_says() {
    let cases: [(&str, &str, Vec<Seen>); 14] = [
        ("an event with data", "event: a\ndata: 1\n\n", vec![seen(Some("a"), Some("1"))]),
        ("no space after the colon", "event:a\ndata:1\n\n", vec![seen(Some("a"), Some("1"))]),
        ("one space only is dropped", "data:  1 \n\n", vec![seen(None, Some(" 1 "))]),
        ("several data lines", "data: 1\ndata\ndata: 2\n\n", vec![seen(None, Some("1\n\n2"))]),
        ("the last event line", "event: a\nevent: b\n\n", vec![seen(Some("b"), None)]),
        ("a comment", ": event: a\n\n", vec![seen(None, None)]),
        ("a comment within", ":x\nevent: a\n:y\n\n", vec![seen(Some("a"), None)]),
        ("other fields", "id: 1\nretry: 2\neventful: a\ndatax\n\n", vec![seen(None, None)]),
        ("blank lines in front", "\n\r\n\rdata: 1\n\n\n\n", vec![seen(None, Some("1"))]),
        ("CRLF", "event: a\r\ndata: 1\r\n\r\n", vec![seen(Some("a"), Some("1"))]),
        ("CR", "event: a\rdata: 1\r\r", vec![seen(Some("a"), Some("1"))]),
        ("mixed", "event: a\r\ndata: 1\n\r\n", vec![seen(Some("a"), Some("1"))]),
        ("a byte order mark", "\u{feff}event: a\n\n", vec![seen(Some("a"), None)]),
        ("an unfinished frame", "data: 1\n\ndata: 2\n", vec![seen(None, Some("1"))]),
    ];
    for (name, stream, expected) in cases {
        assert_eq!(frames([stream.as_bytes()]), expected, "{name}, whole");
        assert_eq!(frames(stream.as_bytes().chunks(1)), expected, "{name}, byte by byte");
        for cut in 0..=stream.len() {
            let (head, tail) = stream.as_bytes().split_at(cut);
            assert_eq!(frames([head, b"", tail]), expected, "{name}, cut at {cut}");
        }
    }
}

#[test]
fn a_byte_order_mark_is_one_only_at_the_start() {
    let stream = "data: 1\n\n\u{feff}data: 2\n\n";
    assert_eq!(frames([stream.as_bytes()]), [seen(None, Some("1")), seen(None, None)]);
}

#[test]
fn a_boundary_is_where_no_frame_is_open() {
    let cases: [(&str, &[&str], bool); 16] = [
        ("nothing yet", &[], true),
        ("half a line", &["data: 1"], false),
        ("a line", &["data: 1\n"], false),
        ("a frame", &["data: 1\n\n"], true),
        ("a frame and an empty chunk", &["data: 1\n\n", ""], true),
        ("a comment line", &["data: 1\n\n", ": hi\n"], false),
        ("a frame and a spare blank line", &["data: 1\n\n\n"], true),
        ("the LF of a CRLF to come", &["data: 1\r\n\r"], false),
        ("the LF of a CRLF has come", &["data: 1\r\n\r", "\n"], true),
        ("the LF of a CRLF to come, CRs apart", &["data: 1\r", "\n", "\r"], false),
        ("a frame behind it", &["data: 1\r\n\r", "\ndata: 2\r\n"], false),
        ("a whole frame behind it", &["data: 1\r\n\r", "\ndata: 2\r\n\r\n"], true),
        ("bare CRs", &["data: 1\r\r"], true),
        ("bare CRs apart", &["data: 1\r", "\r"], true),
        ("the LF of a CRLF to come after a bare CR", &["id: 1\rdata: 1\r\n\r"], false),
        ("a lone CR at the start", &["\r"], false),
    ];
    for (name, chunks, expected) in cases {
        let mut scanner = FrameScanner::default();
        for chunk in chunks {
            scanner.feed(chunk.as_bytes(), |_| {});
        }
        assert_eq!(scanner.at_boundary(), expected, "{name}");
    }
}

#[test]
fn an_overlong_frame_passes_with_its_name_and_the_next_is_read() {
    let mut stream = b"event: big\ndata: ".to_vec();
    stream.resize(MAX_FRAME_BYTES + 100, b'x');
    stream.extend_from_slice(b"\n\nevent: small\ndata: 1\n\n");
    let expected = [seen(Some("big"), None), seen(Some("small"), Some("1"))];
    for chunk_bytes in [7, 4096] {
        assert_eq!(frames(stream.chunks(chunk_bytes)), expected);
    }

    let mut scanner = FrameScanner::default();
    stream.chunks(4096).for_each(|chunk| scanner.feed(chunk, |_| {}));
    assert!(scanner.partial.capacity() <= KEPT_BUFFER_BYTES, "the buffer was not given back");
}

#[test]
fn a_frame_within_one_chunk_is_not_copied() {
    let mut scanner = FrameScanner::default();
    for _ in 0..3 {
        scanner.feed(b"event: a\ndata: 1\n\nevent: b\ndata: 2\n\n", |_| {});
    }
    assert_eq!(scanner.partial.capacity(), 0);
}

proptest::proptest! {
    #[test]
    fn any_bytes_give_the_same_frames_for_any_split(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "\n", "\r", "\r\n", "data: x", "data:", "event: e", ":", "\u{feff}", "雪", " ",
            ]),
            0..40,
        ),
        cuts in proptest::collection::vec(0usize..200, 0..6),
    ) {
        let stream = pieces.concat().into_bytes();
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let split = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
        proptest::prop_assert_eq!(frames(split), frames([stream.as_slice()]));
    }
}

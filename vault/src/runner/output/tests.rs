//! The ring's bound, its cutting of lines, and what a reader sees after losing some.

use super::*;

const COST: usize = size_of::<Line>();

fn ring(lines: usize, line_bytes_max: usize) -> OutputRing {
    OutputRing::new(RingLimits { bytes_max: lines * (COST + line_bytes_max), line_bytes_max })
}

fn texts<'a>(lines: impl Iterator<Item = &'a Line>) -> Vec<String> {
    lines.map(|line| String::from_utf8_lossy(&line.bytes).into_owned()).collect()
}

#[test]
fn lines_are_joined_however_the_reads_cut_them() {
    let text = b"first\n\nthird\nrest";
    for size in 1..=text.len() {
        let mut ring = ring(10, 100);
        for (at, part) in (0..).zip(text.chunks(size)) {
            ring.push(Stream::Stdout, at, part);
        }
        assert_eq!(texts(ring.tail(9)), ["first", "", "third"], "{size}");
        ring.finish(Stream::Stdout);
        ring.finish(Stream::Stdout);
        assert_eq!(texts(ring.tail(9)), ["first", "", "third", "rest"], "{size}");
    }
}

#[test]
fn the_streams_do_not_mix() {
    let mut ring = ring(10, 100);
    ring.push(Stream::Stdout, 1, b"out");
    ring.push(Stream::Stderr, 2, b"err\n");
    ring.push(Stream::Stdout, 3, b"put\n");
    let seen: Vec<_> = ring.tail(9).map(|l| (l.position, l.stream, l.at_nanos)).collect();
    assert_eq!(seen, [(0, Stream::Stderr, 2), (1, Stream::Stdout, 1)]);
    assert_eq!(texts(ring.tail(9)), ["err", "output"]);
}

#[test]
fn a_long_line_is_kept_in_pieces() {
    let mut ring = ring(10, 4);
    ring.push(Stream::Stdout, 1, b"abcdefgh\nijkl\nm\n");
    let seen: Vec<_> = ring.tail(9).map(|l| (l.bytes.to_vec(), l.is_partial)).collect();
    let expected = [("abcd", true), ("efgh", false), ("ijkl", false), ("m", false)];
    assert_eq!(seen, expected.map(|(text, partial)| (text.as_bytes().to_vec(), partial)));
}

#[test]
fn the_oldest_lines_are_dropped_and_counted() {
    let mut ring = ring(3, 4);
    for text in ["aaaa\n", "bbbb\n", "cccc\n", "dddd\n", "eeee\n"] {
        ring.push(Stream::Stdout, 1, text.as_bytes());
    }
    assert_eq!(texts(ring.tail(9)), ["cccc", "dddd", "eeee"]);
    assert_eq!(texts(ring.tail(1)), ["eeee"]);
    assert_eq!(texts(ring.tail(0)), Vec::<String>::new());
    assert_eq!((ring.dropped_bytes(), ring.next_position()), (8, 5));
}

#[test]
fn a_reader_goes_on_where_it_was() {
    let mut ring = ring(3, 4);
    ring.push(Stream::Stdout, 1, b"a\nb\n");
    let position = ring.next_position();
    assert_eq!(texts(ring.since(position)), Vec::<String>::new());
    ring.push(Stream::Stdout, 1, b"c\n");
    assert_eq!(texts(ring.since(position)), ["c"]);
    assert_eq!(texts(ring.since(0)), ["a", "b", "c"]);
    ring.push(Stream::Stdout, 1, b"d\ne\nf\n");
    assert_eq!(texts(ring.since(position)), ["d", "e", "f"]);
    assert_eq!(texts(ring.since(u64::MAX)), Vec::<String>::new());
}

#[test]
fn floods_stay_within_the_bound() {
    let bytes_max = 4096;
    let floods = [(vec![b'\n'; 9999], 0), (vec![b'x'; 99_999], 99_999), (b"text\n".to_vec(), 4)];
    for (flood, letters) in floods {
        let mut ring = OutputRing::new(RingLimits { bytes_max, line_bytes_max: 100 });
        for _ in 0..100 {
            ring.push(Stream::Stderr, 1, &flood);
        }
        let kept: usize = ring.tail(usize::MAX).map(|line| cost(&line.bytes)).sum();
        let unfinished = ring.stderr.bytes.len();
        assert!(kept <= bytes_max && unfinished <= 100);
        let lines: usize = ring.tail(usize::MAX).map(|line| line.bytes.len()).sum();
        let seen = u64::try_from(lines + unfinished).unwrap() + ring.dropped_bytes();
        assert_eq!(seen, 100 * letters);
    }
}

#[test]
fn a_bound_of_nothing_still_keeps_the_last_piece() {
    let mut ring = OutputRing::new(RingLimits { bytes_max: 0, line_bytes_max: 0 });
    ring.push(Stream::Stdout, 1, b"abc\n");
    assert_eq!(texts(ring.tail(9)), ["c"]);
    assert_eq!(ring.dropped_bytes(), 2);
}

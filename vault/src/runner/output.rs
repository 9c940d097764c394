//! The last lines that a task wrote, within a bound of bytes: pushed as they come, read from the
//! end or followed from a position. It reads no pipe and no clock.

use std::collections::VecDeque;

/// Which of a task's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingLimits {
    /// Of all kept lines together, with what each costs beside its bytes.
    pub bytes_max: usize,
    /// Of one line; a longer one is kept in pieces.
    pub line_bytes_max: usize,
}

/// One line without its newline, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Counted from zero over both streams, never twice.
    pub position: u64,
    pub stream: Stream,
    /// When its first byte came, in nanoseconds since the Unix epoch.
    pub at_nanos: u64,
    pub bytes: Box<[u8]>,
    /// Whether the line goes on in the next piece of its stream.
    pub is_partial: bool,
}

/// The kept lines of one task. `lines` hold consecutive positions that end below `next_position`.
#[derive(Debug)]
pub struct OutputRing {
    limits: RingLimits,
    lines: VecDeque<Line>,
    kept_bytes: usize,
    next_position: u64,
    dropped_bytes: u64,
    stdout: Pending,
    stderr: Pending,
}

/// The start of a line whose newline has not come.
#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    at_nanos: u64,
}

impl OutputRing {
    /// An empty ring. A line is never longer than the ring: the smaller bound holds.
    pub fn new(limits: RingLimits) -> Self {
        let line_bytes_max = limits.line_bytes_max.min(limits.bytes_max).max(1);
        Self {
            limits: RingLimits { line_bytes_max, ..limits },
            lines: VecDeque::new(),
            kept_bytes: 0,
            next_position: 0,
            dropped_bytes: 0,
            stdout: Pending::default(),
            stderr: Pending::default(),
        }
    }

    /// Takes what was read from a stream, however the reads cut it.
    pub fn push(&mut self, stream: Stream, at_nanos: u64, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.split_last() {
                Some((b'\n', line)) => {
                    self.extend(stream, at_nanos, line);
                    self.complete(stream, at_nanos, false);
                }
                _ => self.extend(stream, at_nanos, part),
            }
        }
    }

    /// Takes the end of a stream: what has no newline becomes a line.
    pub fn finish(&mut self, stream: Stream) {
        let at_nanos = self.pending(stream).at_nanos;
        if !self.pending(stream).bytes.is_empty() {
            self.complete(stream, at_nanos, false);
        }
    }

    /// The last `count` lines, oldest first.
    pub fn tail(&self, count: usize) -> impl Iterator<Item = &Line> {
        self.lines.iter().skip(self.lines.len().saturating_sub(count))
    }

    /// The kept lines from a position on; those that were dropped meanwhile are passed over.
    pub fn since(&self, position: u64) -> impl Iterator<Item = &Line> {
        let first = self.next_position.saturating_sub(self.lines.len().try_into().unwrap_or(0));
        let skipped = usize::try_from(position.saturating_sub(first)).unwrap_or(usize::MAX);
        self.lines.iter().skip(skipped)
    }

    /// The position that the next line will get: where to follow from.
    pub fn next_position(&self) -> u64 {
        self.next_position
    }

    /// How many bytes of lines are no longer kept.
    pub fn dropped_bytes(&self) -> u64 {
        self.dropped_bytes
    }

    fn pending(&mut self, stream: Stream) -> &mut Pending {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// Adds to the unfinished line, and lets go of a piece whenever it is full.
    fn extend(&mut self, stream: Stream, at_nanos: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.limits.line_bytes_max - self.pending(stream).bytes.len();
            if room == 0 {
                self.complete(stream, at_nanos, true);
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            let pending = self.pending(stream);
            if pending.bytes.is_empty() {
                pending.at_nanos = at_nanos;
            }
            pending.bytes.extend_from_slice(now);
            bytes = later;
        }
    }

    fn complete(&mut self, stream: Stream, at_nanos: u64, is_partial: bool) {
        let pending = std::mem::take(self.pending(stream));
        let at_nanos = if pending.bytes.is_empty() { at_nanos } else { pending.at_nanos };
        let position = self.next_position;
        self.next_position = position.saturating_add(1);
        let bytes = pending.bytes.into_boxed_slice();
        self.kept_bytes = self.kept_bytes.saturating_add(cost(&bytes));
        self.lines.push_back(Line { position, stream, at_nanos, bytes, is_partial });
        self.shrink();
    }

    fn shrink(&mut self) {
        // The newest line stays even where the bound is smaller than what one line costs.
        while self.kept_bytes > self.limits.bytes_max && self.lines.len() > 1 {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.kept_bytes = self.kept_bytes.saturating_sub(cost(&oldest.bytes));
            let bytes = u64::try_from(oldest.bytes.len()).unwrap_or(u64::MAX);
            self.dropped_bytes = self.dropped_bytes.saturating_add(bytes);
        }
    }
}

/// A flood of empty lines takes memory too.
fn cost(bytes: &[u8]) -> usize {
    bytes.len().saturating_add(size_of::<Line>())
}

#[cfg(test)]
mod tests;

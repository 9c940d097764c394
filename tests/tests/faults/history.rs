//! What clients did and were told, to be checked afterwards.

use std::fmt::Write;

/// One call of a client, in microseconds since the run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub client: usize,
    /// The manager that was asked first.
    pub manager: usize,
    pub key: usize,
    pub start: u64,
    /// `u64::MAX` where no answer says what became of it.
    pub end: u64,
    pub what: What,
}

/// Every value is written once: it names its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The value, and what the answer said: the version's number and the log's index.
    Write { value: u64, answer: Option<Answer> },
    /// What was read. Reads without an answer are not kept.
    Read { value: u64, answer: Answer },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub version: u32,
    pub index: u64,
}

impl Call {
    pub fn value(&self) -> u64 {
        match self.what {
            What::Write { value, .. } | What::Read { value, .. } => value,
        }
    }

    pub fn answer(&self) -> Option<Answer> {
        match self.what {
            What::Write { answer, .. } => answer,
            What::Read { answer, .. } => Some(answer),
        }
    }

    pub fn is_write(&self) -> bool {
        matches!(self.what, What::Write { .. })
    }
}

/// A history as text, one call a line, by when it began.
pub fn text(calls: &[Call]) -> String {
    let mut sorted: Vec<&Call> = calls.iter().collect();
    sorted.sort_by_key(|call| call.start);
    let mut text = String::new();
    for call in sorted {
        writeln!(text, "{call:?}").expect("text takes more text");
    }
    text
}

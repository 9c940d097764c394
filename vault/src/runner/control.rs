//! The messages between the daemon, a task's helper and the first process of its namespace. Small,
//! each in one datagram; the described task itself travels as a descriptor beside the first.

use super::error::{Failure, Step};
use super::wire::{DecodeError, Reader, Writer};

/// Downwards: from the daemon to the helper, and on to the first process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// Set a task up; the descriptors of its description and of its secrets come along.
    Begin,
    /// The user namespace has its map (helper to first process).
    Mapped,
    /// Start the command.
    Go,
    /// Send a signal to the command.
    Signal { signal: i32 },
    /// Send a signal to the command, and end everything when the time is over.
    Stop { signal: i32, grace_ms: u64 },
}

/// Upwards: from the first process to the helper, and on to the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Report {
    /// Map the numbers from zero up to `first` and up (first process to helper).
    MapIds {
        first: u32,
        count: u32,
    },
    /// All is set up but the command is not started. Only the helper knows the PID as the daemon
    /// sees it.
    Ready {
        init_pid: u32,
    },
    /// The command runs; to the helper comes its descriptor, for signals.
    Started,
    Failed(Failure),
    /// The command is over, and so is everything that it started.
    Ended(TaskEnd),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskEnd {
    Exited(i32),
    Signalled(i32),
}

impl Request {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Begin => Writer::tagged(1),
            Self::Mapped => Writer::tagged(2),
            Self::Go => Writer::tagged(3),
            Self::Signal { signal } => Writer::tagged(4).i32(*signal),
            Self::Stop { signal, grace_ms } => Writer::tagged(5).i32(*signal).u64(*grace_ms),
        }
        .finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let request = match reader.byte()? {
            1 => Self::Begin,
            2 => Self::Mapped,
            3 => Self::Go,
            4 => Self::Signal { signal: reader.i32()? },
            5 => Self::Stop { signal: reader.i32()?, grace_ms: reader.u64()? },
            other => return Err(DecodeError::UnknownTag(other)),
        };
        reader.finish()?;
        Ok(request)
    }
}

impl Report {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::MapIds { first, count } => Writer::tagged(1).u32(*first).u32(*count),
            Self::Ready { init_pid } => Writer::tagged(2).u32(*init_pid),
            Self::Started => Writer::tagged(3),
            Self::Failed(Failure { step, subject, errno }) => Writer::tagged(4)
                .byte(step.number())
                .i32(errno.raw_os_error())
                .bytes(subject.as_bytes()),
            Self::Ended(TaskEnd::Exited(code)) => Writer::tagged(5).i32(*code),
            Self::Ended(TaskEnd::Signalled(signal)) => Writer::tagged(6).i32(*signal),
        }
        .finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let report = match reader.byte()? {
            1 => Self::MapIds { first: reader.u32()?, count: reader.u32()? },
            2 => Self::Ready { init_pid: reader.u32()? },
            3 => Self::Started,
            4 => Self::Failed(failure(&mut reader)?),
            5 => Self::Ended(TaskEnd::Exited(reader.i32()?)),
            6 => Self::Ended(TaskEnd::Signalled(reader.i32()?)),
            other => return Err(DecodeError::UnknownTag(other)),
        };
        reader.finish()?;
        Ok(report)
    }
}

fn failure(reader: &mut Reader<'_>) -> Result<Failure, DecodeError> {
    let number = reader.byte()?;
    let step = Step::from_number(number).ok_or(DecodeError::UnknownTag(number))?;
    let errno = std::io::Error::from_raw_os_error(reader.i32()?);
    Ok(Failure::new(step, &reader.text()?, errno))
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn requests() -> [Request; 5] {
        [
            Request::Begin,
            Request::Mapped,
            Request::Go,
            Request::Signal { signal: 1 },
            Request::Stop { signal: 15, grace_ms: u64::MAX },
        ]
    }

    fn reports() -> [Report; 6] {
        [
            Report::MapIds { first: 1 << 20, count: 65_536 },
            Report::Ready { init_pid: 77 },
            Report::Started,
            Report::Failed(Failure::new(Step::Proc, "/proc", Errno::PERM)),
            Report::Ended(TaskEnd::Exited(3)),
            Report::Ended(TaskEnd::Signalled(9)),
        ]
    }

    #[test]
    fn messages_are_written_as_they_always_were() {
        let messages = requests().iter().map(Request::encode).collect::<Vec<_>>();
        crate::testing::assert_golden("launch-requests", &messages.concat());
        let messages = reports().iter().map(Report::encode).collect::<Vec<_>>();
        crate::testing::assert_golden("launch-reports", &messages.concat());
    }

    #[test]
    fn messages_survive_the_way() {
        for request in requests() {
            assert_eq!(Request::decode(&request.encode()), Ok(request));
        }
        for report in reports() {
            assert_eq!(Report::decode(&report.encode()), Ok(report));
        }
    }

    #[test]
    fn cut_and_longer_messages_are_refused() {
        let encoded = requests().map(|r| r.encode()).into_iter();
        for bytes in encoded {
            for length in 0..bytes.len() {
                assert_eq!(Request::decode(&bytes[..length]), Err(DecodeError::Truncated));
            }
            let longer = [bytes.as_slice(), b"x"].concat();
            assert_eq!(Request::decode(&longer), Err(DecodeError::TooLong(1)));
        }
        for bytes in reports().map(|r| r.encode()) {
            for length in 0..bytes.len() {
                assert_eq!(Report::decode(&bytes[..length]), Err(DecodeError::Truncated));
            }
            let longer = [bytes.as_slice(), b"x"].concat();
            assert_eq!(Report::decode(&longer), Err(DecodeError::TooLong(1)));
        }
    }

    #[test]
    fn case_52_changed_messages_never_panic() {
        let encoded = reports().map(|r| r.encode());
        let places = encoded.iter().flat_map(|bytes| (0..bytes.len()).map(move |at| (bytes, at)));
        for (bytes, at) in places {
            let mut changed = bytes.clone();
            changed[at] ^= 0xff;
            if let Ok(report) = Report::decode(&changed) {
                assert_eq!(Report::decode(&report.encode()), Ok(report), "{at}");
            }
        }
    }

    #[test]
    fn unknown_tags_are_refused() {
        assert_eq!(Request::decode(&[9]), Err(DecodeError::UnknownTag(9)));
        assert_eq!(Report::decode(&[0]), Err(DecodeError::UnknownTag(0)));
        let bytes = Writer::tagged(4).byte(200).i32(1).bytes(b"").finish();
        assert_eq!(Report::decode(&bytes), Err(DecodeError::UnknownTag(200)));
    }
}

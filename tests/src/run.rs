//! One run of a program to its end.

use std::io::Write;
use std::process::{Command, Stdio};

/// What a run ended with.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Runs a command to its end with so much on standard input.
    pub fn of(command: &mut Command, input: &[u8]) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("standard input is a pipe");
        // A program that does not read its input may be gone by now.
        stdin.write_all(input).ok();
        drop(stdin);
        let output = child.wait_with_output().expect("the run ends");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        Self { code: output.status.code(), stdout, stderr }
    }

    /// What a run said that went well.
    #[track_caller]
    pub fn said(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self.stdout
    }

    /// The same, without the end of the line.
    #[track_caller]
    pub fn word(self) -> String {
        self.said().trim_end().to_owned()
    }

    /// Asserts that it was refused with this line and printed no result.
    #[track_caller]
    pub fn refused(self, text: &str) {
        let expected = Self { code: Some(1), stdout: String::new(), stderr: format!("{text}\n") };
        assert_eq!(self, expected);
    }

    /// Asserts that the daemon refused it with this text.
    #[track_caller]
    pub fn refused_by_daemon(self, text: &str) {
        self.refused(&format!("Error response from daemon: {text}"));
    }
}

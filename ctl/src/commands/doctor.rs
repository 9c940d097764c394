//! `coffer doctor`: looks over this machine, without a daemon, and says of each thing how it is and what to do.

mod judge;
mod look;

use std::path::Path;

use serde_json::json;

use crate::args::DoctorArgs;
use crate::exit::Failure;
use crate::host::Host;
use crate::out;
use crate::table;

/// Why the findings are not shown, or end in a no.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DoctorError {
    #[error("unknown format {0}: 'json' is known, and no --format at all")]
    Format(String),
    #[error("something is bad")]
    Bad,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    Fine,
    /// It works, and could be better or safer.
    Poor,
    /// It does not work, or is not safe.
    Bad,
    /// Not to be seen by this user.
    Unseen,
}

impl Grade {
    fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Poor => "poor",
            Self::Bad => "bad",
            Self::Unseen => "unseen",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    what: &'static str,
    grade: Grade,
    /// How it is.
    found: String,
    /// What to do. Empty if nothing is to be done.
    cure: String,
}

impl Finding {
    fn fine(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, grade: Grade::Fine, found: found.into(), cure: String::new() }
    }

    fn poor(what: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what, grade: Grade::Poor, found: found.into(), cure: cure.into() }
    }

    fn bad(what: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what, grade: Grade::Bad, found: found.into(), cure: cure.into() }
    }

    fn unseen(what: &'static str, found: impl Into<String>) -> Self {
        let cure = "run it again as root".to_owned();
        Self { what, grade: Grade::Unseen, found: found.into(), cure }
    }
}

/// Looks and shows.
pub(crate) fn run(host: &Host, args: &DoctorArgs) -> Result<(), Failure> {
    let is_json = match args.format.as_deref() {
        None | Some("" | "table") => false,
        Some("json") => true,
        Some(other) => return Err(DoctorError::Format(other.to_owned()).into()),
    };
    let findings = examine(host.path(), args);
    out::text(if is_json { document(&findings) } else { screen(&findings) })?;
    let is_bad = findings.iter().any(|finding| finding.grade == Grade::Bad);
    if is_bad { Err(DoctorError::Bad.into()) } else { Ok(()) }
}

fn examine(socket: &Path, args: &DoctorArgs) -> Vec<Finding> {
    let mut findings = vec![judge::kernel(&look::kernel()), judge::fuse(look::fuse())];
    findings.extend(look::user_namespaces().map(judge::user_namespaces));
    findings.push(judge::locked_memory(look::locked_memory()));
    findings.push(judge::descriptors(look::descriptors()));
    findings.push(judge::swap(look::swap().as_deref()));
    findings.push(judge::core_dumps(look::core_pattern().as_deref()));
    findings.push(judge::clock(look::clock()));
    findings.push(judge::space(look::space(&args.state_dir)));
    findings.push(judge::file_system(look::file_system(&args.state_dir).as_deref()));
    findings.push(judge::flush(look::flush(&args.state_dir)));
    findings.push(judge::port(look::port(args.listen_addr), args.listen_addr));
    findings.push(judge::state_dir(&args.state_dir, look::entry(&args.state_dir)));
    findings.push(judge::socket(socket, look::entry(socket), look::may_connect(socket)));
    findings
}

fn document(findings: &[Finding]) -> String {
    let all: Vec<_> = findings
        .iter()
        .map(|one| json!({ "What": one.what, "Grade": one.grade.word(), "Found": one.found, "Cure": one.cure }))
        .collect();
    let is_bad = findings.iter().any(|finding| finding.grade == Grade::Bad);
    format!("{}\n", json!({ "Healthy": !is_bad, "Findings": all }))
}

fn screen(findings: &[Finding]) -> String {
    let lines = findings.iter().map(|one| {
        let mark = match one.grade {
            Grade::Fine => "  ",
            Grade::Poor => "! ",
            Grade::Bad => "!!",
            Grade::Unseen => "? ",
        };
        let line = format!("{mark} {:<14} {}\n", one.what, table::printable(&one.found));
        if one.cure.is_empty() {
            return line;
        }
        format!("{line}   {:<14} {}\n", "", table::printable(&one.cure))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_has_a_line_and_its_cure_another() {
        let findings = [
            Finding::fine("kernel", "6.18"),
            Finding::bad("clock", "it is\nwrong", "set it"),
            Finding::unseen("socket", "closed"),
        ];
        let text = screen(&findings);
        assert_eq!(
            text,
            "   kernel         6.18\n!! clock          it is wrong\n                  set it\n\
             ?  socket         closed\n                  run it again as root\n"
        );
        let json: serde_json::Value = serde_json::from_str(&document(&findings)).unwrap();
        assert_eq!(
            (&json["Healthy"], &json["Findings"][1]["Grade"]),
            (&false.into(), &"bad".into())
        );
        assert!(document(&findings[..1]).contains("\"Healthy\":true"));
    }
}

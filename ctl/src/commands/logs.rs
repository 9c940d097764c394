//! `coffer service logs`: what the tasks wrote, each line with the task that wrote it.

use crate::args::LogsArgs;
use crate::client::Client;
use crate::commands::service::short_id;
use crate::exit::Failure;
use crate::host::Host;
use crate::human;
use crate::objects::LogLine;
use crate::out;

/// Prints lines until there are no more; what went to standard error goes there again.
pub(crate) async fn show(host: &Host, args: &LogsArgs) -> Result<(), Failure> {
    let client = Client::connect(host).await?;
    // The lines carry no name, and the widest slot is not known before the last line.
    let service = client.inspect_service(&args.reference).await?;
    let look = Look {
        service: service.spec.name,
        widest_slot: service.spec.replicas.to_string().len(),
        with_ids: !args.no_task_ids,
        timestamps: args.timestamps,
    };
    let mut logs = client.logs(&service.meta.id, args.follow, args.tail.0).await?;
    while let Some(line) = logs.next().await? {
        out::raw_line(line.is_stderr, &look.prefix(&line), &line.line)?;
    }
    Ok(())
}

/// How lines are to look.
pub(crate) struct Look {
    pub(crate) service: String,
    pub(crate) widest_slot: usize,
    pub(crate) with_ids: bool,
    pub(crate) timestamps: bool,
}

impl Look {
    /// `web.1.0123456789ab@host    | `, so wide that the bars of all slots stand in one column.
    pub(crate) fn prefix(&self, line: &LogLine) -> String {
        let time = if self.timestamps { human::rfc3339(line.at) + " " } else { String::new() };
        let id =
            if self.with_ids { format!(".{}", short_id(&line.task_id)) } else { String::new() };
        let slot = line.slot.to_string();
        let padding = " ".repeat(self.widest_slot.saturating_sub(slot.len()));
        format!("{time}{}.{slot}{id}@{}{padding}    | ", self.service, line.hostname)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_task_and_its_node() {
        let line = |slot| LogLine {
            task_id: "t".repeat(25),
            slot,
            hostname: "host".to_owned(),
            is_stderr: false,
            at: 1_500_000_000,
            line: Vec::new(),
        };
        for (slot, with_ids, timestamps, expected) in [
            (1, true, false, "web.1.tttttttttttt@host     | "),
            (10, true, false, "web.10.tttttttttttt@host    | "),
            (10, false, false, "web.10@host    | "),
            (10, false, true, "1970-01-01T00:00:01.5Z web.10@host    | "),
        ] {
            let look = Look { service: "web".to_owned(), widest_slot: 2, with_ids, timestamps };
            assert_eq!(look.prefix(&line(slot)), expected, "slot {slot}");
        }
    }
}

//! `coffer audit`: who called what with what outcome, and whether the record of it is whole.

use serde_json::Value;
use serde_json::json;

use crate::args::TailArgs;
use crate::client::Client;
use crate::exit::Failure;
use crate::host::Host;
use crate::human;
use crate::limits::AUDIT_OBJECTS_SHOWN;
use crate::lines::LineFormat;
use crate::objects::AuditRecord;
use crate::objects::AuditReport;
use crate::out;
use crate::table;

/// What is wrong with the audit, or with showing it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuditError {
    #[error("the audit is not whole after {records} records: {broken}")]
    Broken { records: u64, broken: String },
    #[error("cofferd ended the stream; go on with 'coffer audit tail -f'")]
    Ended,
}

/// Prints the last records, and those that come if so asked.
pub(crate) async fn tail(host: &Host, args: &TailArgs) -> Result<(), Failure> {
    let format = LineFormat::parse(args.format.as_deref())?;
    let client = Client::connect(host).await?;
    let mut records = client.audit(args.lines, args.follow).await?;
    if format == LineFormat::Plain {
        out::line(in_columns(["TIME", "UID", "PID", "CALL", "OUTCOME", "OBJECTS"]))?;
    }
    while let Some(record) = records.next().await? {
        out::line(format.render(&fields(&record), || plain(&record))?)?;
    }
    if args.follow { Err(AuditError::Ended.into()) } else { Ok(()) }
}

/// Records come one by one, so that the widths are those of what is usual.
fn in_columns([time, uid, pid, call, outcome, objects]: [&str; 6]) -> String {
    format!("{time:<30}   {uid:<7}   {pid:<7}   {call:<19}   {outcome:<18}   {objects}")
}

fn plain(record: &AuditRecord) -> String {
    let [uid, pid] = [record.uid, record.pid].map(|number| number.to_string());
    let call = record.call.strip_prefix("/coffer.v1.").unwrap_or(&record.call);
    let time = human::rfc3339_fixed(record.at);
    let objects = short(&record.objects);
    table::printable(&in_columns([&time, &uid, &pid, call, &record.outcome, &objects]))
}

fn short(objects: &[String]) -> String {
    let shown = objects.iter().take(AUDIT_OBJECTS_SHOWN).map(String::as_str).collect::<Vec<_>>();
    match objects.len().saturating_sub(AUDIT_OBJECTS_SHOWN) {
        0 => shown.join(","),
        more => format!("{} and {more} more", shown.join(",")),
    }
}

fn fields(record: &AuditRecord) -> Value {
    json!({
        "Number": record.number,
        "Time": human::rfc3339_fixed(record.at),
        "UID": record.uid,
        "PID": record.pid,
        "Call": record.call,
        "Outcome": record.outcome,
        "Objects": record.objects,
        "RequestID": record.request_id,
        "Index": record.index,
        "Node": record.node,
    })
}

/// Says what all records are, or where their chain breaks.
pub(crate) async fn verify(host: &Host) -> Result<(), Failure> {
    let report = Client::connect(host).await?.verify_audit().await?;
    Ok(out::line(verdict(report)?)?)
}

fn verdict(report: AuditReport) -> Result<String, AuditError> {
    let AuditReport { records, first, last, broken } = report;
    match (records, broken.as_str()) {
        (0, "") => Ok("0 records, chain whole".to_owned()),
        (_, "") => Ok(format!("{records} records, {first} to {last}, chain whole")),
        _ => Err(AuditError::Broken { records, broken }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(objects: usize) -> AuditRecord {
        AuditRecord {
            number: 5,
            at: 1_500_000_000,
            uid: 0,
            pid: 4_194_304,
            call: "/coffer.v1.Secrets/Create".to_owned(),
            objects: (1..=objects).map(|id| format!("id{id}")).collect(),
            outcome: "OK".to_owned(),
            request_id: "ab".to_owned(),
            index: 9,
            node: "n1".to_owned(),
        }
    }

    #[test]
    fn a_record_is_one_line_however_many_objects_it_has() {
        let start = "1970-01-01T00:00:01.500000000Z   0         4194304   Secrets/Create        \
                     OK                   ";
        for (objects, expected) in
            [(0, ""), (1, "id1"), (3, "id1,id2,id3"), (5, "id1,id2,id3 and 2 more")]
        {
            assert_eq!(plain(&record(objects)), format!("{start}{expected}"));
        }
    }

    #[test]
    fn json_has_all_that_is_recorded() {
        assert_eq!(
            fields(&record(1)).to_string(),
            "{\"Number\":5,\"Time\":\"1970-01-01T00:00:01.500000000Z\",\"UID\":0,\"PID\":4194304,\
             \"Call\":\"/coffer.v1.Secrets/Create\",\"Outcome\":\"OK\",\"Objects\":[\"id1\"],\
             \"RequestID\":\"ab\",\"Index\":9,\"Node\":\"n1\"}"
        );
    }

    #[test]
    fn a_verdict_names_the_records_or_the_break() {
        let report = |records, broken: &str| AuditReport {
            records,
            first: 3,
            last: 12,
            broken: broken.to_owned(),
        };
        for (report, expected) in [
            (report(10, ""), Ok("10 records, 3 to 12, chain whole")),
            (report(0, ""), Ok("0 records, chain whole")),
            (
                report(4, "audit-1 at 96: bad digest"),
                Err("the audit is not whole after 4 records: audit-1 at 96: bad digest"),
            ),
        ] {
            let verdict = verdict(report).map_err(|error| error.to_string());
            assert_eq!(verdict.as_deref().map_err(String::as_str), expected);
        }
    }
}

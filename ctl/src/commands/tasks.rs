//! `coffer service ps`: the tasks of services, the ended ones below their successors.

use std::cmp::Reverse;

use crate::args::ListArgs;
use crate::client::Client;
use crate::clock;
use crate::commands::service::SHORT_COMMAND;
use crate::commands::service::quoted;
use crate::commands::service::short_id;
use crate::exit;
use crate::exit::Failure;
use crate::host::Host;
use crate::human;
use crate::listing::Column;
use crate::listing::Format;
use crate::listing::Listing;
use crate::listing::Row;
use crate::listing::shown;
use crate::objects::Labels;
use crate::objects::Task;
use crate::objects::Tasks;
use crate::out;
use crate::table;

const COLUMNS: &[Column] = &[
    shown("ID", "ID"),
    shown("Name", "NAME"),
    shown("Command", "COMMAND"),
    shown("Node", "NODE"),
    shown("DesiredState", "DESIRED STATE"),
    shown("CurrentState", "CURRENT STATE"),
    shown("Error", "ERROR"),
];

/// Characters of an error in a list, without its quotes.
const SHORT_ERROR: usize = 30;

/// Lists the tasks of each service that is there, then what was wrong with the others.
pub(crate) async fn list(
    host: &Host,
    args: &ListArgs,
    no_trunc: bool,
    references: &[String],
) -> Result<(), Failure> {
    let format = Format::parse(args.format.as_deref(), args.quiet)?;
    let client = Client::connect(host).await?;
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    let now = clock::now_ns();
    // The mark of the past is for people: a template gets plain names.
    let indent = matches!(format, Format::Table);
    for reference in references {
        match client.tasks(reference).await {
            Ok(tasks) => rows.extend(rows_of(tasks, &Look { now, no_trunc, indent })),
            Err(error) => errors.push(error),
        }
    }
    if !rows.is_empty() || errors.is_empty() {
        out::text(Listing { columns: COLUMNS, rows }.render(&format)?)?;
    }
    exit::all(errors)
}

/// How rows are to look.
struct Look {
    now: i64,
    no_trunc: bool,
    indent: bool,
}

/// By slot; in a slot the one that is to run comes first, then the latest.
fn rows_of(tasks: Tasks, look: &Look) -> Vec<Row> {
    let Tasks { service_name, mut tasks } = tasks;
    tasks.sort_by_key(|task| (task.slot, task.desired.is_over(), Reverse(task.status_at)));
    let mut last_slot = None;
    let named = tasks.into_iter().map(|task| {
        let again = last_slot.replace(task.slot) == Some(task.slot);
        let history = if again && look.indent { " \\_ " } else { "" };
        row(&task, format!("{history}{service_name}.{}", task.slot), look)
    });
    named.collect()
}

fn row(task: &Task, name: String, look: &Look) -> Row {
    let cut =
        |text: &str, max| if look.no_trunc { text.to_owned() } else { table::ellipsis(text, max) };
    let error = cut(&task.error, SHORT_ERROR);
    let age = human::age(look.now, task.status_at).to_lowercase();
    let cells = vec![
        if look.no_trunc { task.id.clone() } else { short_id(&task.id) },
        name,
        quoted(&cut(&task.command, SHORT_COMMAND)),
        task.node_hostname.clone(),
        task.desired.word().to_owned(),
        format!("{} {age}", task.state.word()),
        if error.is_empty() { error } else { quoted(&error) },
    ];
    Row { cells, labels: Labels::new(), mark: "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::TaskState;

    const SEC: i64 = 1_000_000_000;

    fn task(id: &str, slot: u64, state: TaskState, desired: TaskState, at: i64) -> Task {
        Task {
            id: id.repeat(25),
            slot,
            node_hostname: "host".to_owned(),
            state,
            desired,
            status_at: at * SEC,
            error: if state == TaskState::Failed { "e".repeat(40) } else { String::new() },
            exit_code: None,
            command: "sleep 1".to_owned(),
        }
    }

    fn tasks() -> Tasks {
        let [failed, running] = [TaskState::Failed, TaskState::Running];
        let tasks = vec![
            task("b", 2, running, running, 50),
            task("c", 1, failed, TaskState::Shutdown, 10),
            task("a", 1, running, running, 97),
            task("d", 1, failed, TaskState::Shutdown, 40),
        ];
        Tasks { service_name: "web".to_owned(), tasks }
    }

    #[test]
    fn ended_tasks_stand_below_their_successor() {
        let look = Look { now: 100 * SEC, no_trunc: false, indent: true };
        let listing = Listing { columns: COLUMNS, rows: rows_of(tasks(), &look) };
        let error = format!("\"{}\u{2026}\"", "e".repeat(29));
        let expected = format!(
            "ID             NAME        COMMAND     NODE      DESIRED STATE   CURRENT STATE               ERROR\n\
             aaaaaaaaaaaa   web.1       \"sleep 1\"   host      Running         Running 3 seconds ago       \n\
             dddddddddddd    \\_ web.1   \"sleep 1\"   host      Shutdown        Failed about a minute ago   {error}\n\
             cccccccccccc    \\_ web.1   \"sleep 1\"   host      Shutdown        Failed about a minute ago   {error}\n\
             bbbbbbbbbbbb   web.2       \"sleep 1\"   host      Running         Running 50 seconds ago      \n"
        );
        assert_eq!(listing.render(&Format::Table), Ok(expected));
    }

    #[test]
    fn nothing_is_cut_if_so_asked() {
        let look = Look { now: 100 * SEC, no_trunc: true, indent: false };
        let rows = rows_of(tasks(), &look);
        let cells: Vec<_> = rows.iter().filter_map(|row| row.cells.get(1)).collect();
        assert_eq!(cells, ["web.1", "web.1", "web.1", "web.2"]);
        assert!(rows.iter().all(|row| row.cells[0].len() == 25));
        assert_eq!(rows[1].cells[6].len(), 42);
    }
}

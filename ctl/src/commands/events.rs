//! `coffer events`: one line for each change of an object, from an index on.

use serde_json::Value;
use serde_json::json;
use tokio::time::timeout;

use crate::args::EventsArgs;
use crate::client::CallError;
use crate::client::Client;
use crate::client::Refusal;
use crate::exit::Failure;
use crate::host::Host;
use crate::human;
use crate::limits::EVENTS_QUIET;
use crate::lines::LineFormat;
use crate::objects::Event;
use crate::out;
use crate::table;

const KINDS: &[&str] = &["secret", "config", "service", "node", "swarm", "token"];
const ACTIONS: &[&str] = &["create", "update", "remove"];

/// Why events are not shown, or no longer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EventsError {
    #[error("invalid filter '{0}'; use type= or event=")]
    UnknownFilter(String),
    #[error("invalid filter '{key}={value}'; use {}", .known.join(", "))]
    UnknownValue { key: String, value: String, known: &'static [&'static str] },
    #[error(
        "{refusal}\n\
         Older events are gone: what happened behind that index is no longer remembered as a whole.\n\
         List what is there anew, then go on with 'coffer events' (from now), or with \
         'coffer events --since 0' (from the oldest that is remembered)."
    )]
    Gone { refusal: String },
    #[error("cofferd ended the stream; go on with 'coffer events --since {0}'")]
    Ended(u64),
    #[error("cofferd ended the stream before anything happened; go on with 'coffer events'")]
    EndedAtOnce,
}

/// Prints events until there are no more, or for ever.
pub(crate) async fn watch(host: &Host, args: &EventsArgs) -> Result<(), Failure> {
    let wanted = Wanted::parse(&args.filters)?;
    let format = LineFormat::parse(args.format.as_deref())?;
    let client = Client::connect(host).await?;
    let until = if args.no_follow { Some(client.index().await?) } else { None };
    if until.is_some_and(|until| args.since >= Some(until)) {
        return Ok(());
    }
    let mut events = client.events(args.since, args.no_follow).await.map_err(gone)?;
    let mut last = args.since;
    loop {
        let next = match until {
            None => events.next().await.map_err(gone)?,
            Some(_) => match timeout(EVENTS_QUIET, events.next()).await {
                Ok(next) => next.map_err(gone)?,
                Err(_) => return Ok(()),
            },
        };
        let event = match (next, until) {
            (Some(event), None) => event,
            (Some(event), Some(until)) if event.index <= until => event,
            (None, None) => return Err(ended(last).into()),
            (_, Some(_)) => return Ok(()),
        };
        // What happened together has one index, and some of it may not have come.
        last = Some(event.index.saturating_sub(1));
        if wanted.accepts(&event) {
            out::line(shown(&format, &event)?)?;
        }
    }
}

fn ended(last: Option<u64>) -> EventsError {
    last.map_or(EventsError::EndedAtOnce, EventsError::Ended)
}

/// Only a refusal of the index is told in other words.
fn gone(error: CallError) -> Failure {
    match &error {
        CallError::Refused { refusal: Refusal::OutOfRange, .. } => {
            EventsError::Gone { refusal: error.to_string() }.into()
        }
        _ => error.into(),
    }
}

/// Which events are shown: of each kind of filter one has to fit.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    kinds: Vec<String>,
    actions: Vec<String>,
}

impl Wanted {
    fn parse(filters: &[(String, String)]) -> Result<Self, EventsError> {
        let mut wanted = Self::default();
        for (key, value) in filters {
            let (values, known) = match key.as_str() {
                "type" => (&mut wanted.kinds, KINDS),
                "event" => (&mut wanted.actions, ACTIONS),
                _ => return Err(EventsError::UnknownFilter(key.clone())),
            };
            if !known.contains(&value.as_str()) {
                let (key, value) = (key.clone(), value.clone());
                return Err(EventsError::UnknownValue { key, value, known });
            }
            values.push(value.clone());
        }
        Ok(wanted)
    }

    fn accepts(&self, event: &Event) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && (self.actions.is_empty() || self.actions.contains(&event.action))
    }
}

/// JSON has Docker's keys and a template Docker's names, which differ in their first letters.
fn shown(format: &LineFormat, event: &Event) -> Result<String, Failure> {
    let fields = match format {
        LineFormat::Json => fields(event, ["scope", "time", "timeNano", "index"]),
        LineFormat::Plain | LineFormat::Filled(_) => {
            fields(event, ["Scope", "Time", "TimeNano", "Index"])
        }
    };
    Ok(format.render(&fields, || plain(event))?)
}

fn plain(event: &Event) -> String {
    let Event { at, kind, action, id, name, index: _ } = event;
    table::printable(&format!("{} {kind} {action} {id} (name={name})", human::rfc3339_fixed(*at)))
}

fn fields(event: &Event, [scope, time, nanos, index]: [&str; 4]) -> Value {
    json!({
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": {"name": event.name}},
        scope: "swarm",
        time: event.at.div_euclid(human::NS_PER_SEC),
        nanos: event.at,
        index: event.index,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, action: &str) -> Event {
        let [kind, action, id, name] = [kind, action, "i", "n"].map(str::to_owned);
        Event { index: 7, at: 1_795_206_672_500_000_000, kind, action, id, name }
    }

    fn wanted(filters: &[(&str, &str)]) -> Result<Wanted, EventsError> {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Wanted::parse(&filters.iter().map(pair).collect::<Vec<_>>())
    }

    #[test]
    fn an_event_is_a_line_an_object_or_what_the_template_says() {
        for (format, expected) in [
            (None, "2026-11-20T20:31:12.500000000Z secret create i (name=n)"),
            (
                Some("json"),
                "{\"Type\":\"secret\",\"Action\":\"create\",\
                 \"Actor\":{\"ID\":\"i\",\"Attributes\":{\"name\":\"n\"}},\"scope\":\"swarm\",\
                 \"time\":1795206672,\"timeNano\":1795206672500000000,\"index\":7}",
            ),
            (Some("{{.Index}} {{.Actor.ID}} {{.TimeNano}}"), "7 i 1795206672500000000"),
        ] {
            let format = LineFormat::parse(format).unwrap();
            assert_eq!(shown(&format, &event("secret", "create")).unwrap(), expected);
        }
    }

    #[test]
    fn filters_of_one_key_are_alternatives_and_of_two_keys_not() {
        for (filters, kind, action, expected) in [
            (&[][..], "node", "update", true),
            (&[("type", "secret")], "secret", "update", true),
            (&[("type", "secret")], "config", "update", false),
            (&[("type", "secret"), ("type", "config")], "config", "update", true),
            (&[("type", "secret"), ("event", "remove")], "secret", "update", false),
            (&[("event", "create"), ("event", "remove")], "service", "remove", true),
        ] {
            let accepted = wanted(filters).unwrap().accepts(&event(kind, action));
            assert_eq!(accepted, expected, "{kind} {action} with {filters:?}");
        }
    }

    #[test]
    fn filters_that_can_fit_nothing_are_refused() {
        for (key, value, expected) in [
            ("bogus", "x", "invalid filter 'bogus'; use type= or event="),
            (
                "type",
                "volume",
                "invalid filter 'type=volume'; use secret, config, service, node, swarm, token",
            ),
            ("event", "", "invalid filter 'event='; use create, update, remove"),
        ] {
            assert_eq!(wanted(&[(key, value)]).unwrap_err().to_string(), expected);
        }
    }
}

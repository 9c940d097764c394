//! `coffer swarm join-token create`, `ls` and `revoke`: tokens beside the two standing ones.

use crate::args::CreateTokenArgs;
use crate::args::ListArgs;
use crate::args::TokenCommand;
use crate::client::Client;
use crate::clock;
use crate::commands::swarm::SwarmError;
use crate::commands::swarm::join_text;
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
use crate::objects::Token;
use crate::out;

const COLUMNS: &[Column] = &[
    shown("ID", "ID"),
    shown("Role", "ROLE"),
    shown("Status", "STATUS"),
    shown("Uses", "USES"),
    shown("Expires", "EXPIRES"),
    shown("Created", "CREATED"),
];

/// Runs one of the verbs.
pub(crate) async fn run(host: &Host, command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(args) => create(host, args).await,
        TokenCommand::Ls(args) => list(host, &args).await,
        TokenCommand::Revoke { references } => revoke(host, &references).await,
    }
}

async fn create(host: &Host, args: CreateTokenArgs) -> Result<(), Failure> {
    let CreateTokenArgs { role, ttl, uses, quiet } = args;
    if !["worker", "manager"].contains(&role.as_str()) {
        return Err(SwarmError::UnknownRole(role).into());
    }
    let ttl_secs = (ttl > 0).then_some(ttl);
    let client = Client::connect(host).await?;
    let made = client.create_token(&role, ttl_secs, uses.map(Into::into)).await?;
    if quiet {
        return Ok(out::line(&made.token)?);
    }
    out::line(join_text(&role, &made.token, &made.address))?;
    Ok(out::line(lasting(&made.listed))?)
}

/// What a new token is called, and what ends it.
fn lasting(token: &Token) -> String {
    let id = &token.id;
    let uses = match token.uses_max {
        None => "any number of nodes".to_owned(),
        Some(1) => "one node".to_owned(),
        Some(uses) => format!("{uses} nodes"),
    };
    let end = match token.ends_at {
        None => "until it is revoked".to_owned(),
        Some(end) => {
            let lives_ns = end.saturating_sub(token.created_at);
            format!("for {}", human::duration(lives_ns).to_lowercase())
        }
    };
    format!(
        "It is shown this once, and lets in {uses} {end}. To end it before, run 'coffer swarm join-token revoke {id}'."
    )
}

async fn list(host: &Host, args: &ListArgs) -> Result<(), Failure> {
    let format = Format::parse(args.format.as_deref(), args.quiet)?;
    let mut tokens = Client::connect(host).await?.tokens().await?;
    tokens.sort_by_key(|token| std::cmp::Reverse(token.created_at));
    let now_ns = clock::now_ns();
    let rows = tokens.into_iter().map(|token| row(token, now_ns)).collect();
    Ok(out::text(Listing { columns: COLUMNS, rows }.render(&format)?)?)
}

fn row(token: Token, now_ns: i64) -> Row {
    let uses = match token.uses_max {
        None => token.uses.to_string(),
        Some(max) => format!("{}/{max}", token.uses),
    };
    let expires = match token.ends_at {
        None => "never".to_owned(),
        Some(end) if end <= now_ns => human::age(now_ns, end),
        Some(end) => format!("in {}", human::duration(end.saturating_sub(now_ns)).to_lowercase()),
    };
    let created = human::age(now_ns, token.created_at);
    let (role, standing) = (token.role.to_owned(), token.standing.to_owned());
    let cells = vec![token.id, role, standing, uses, expires, created];
    Row { cells, labels: Labels::new(), mark: "" }
}

async fn revoke(host: &Host, references: &[String]) -> Result<(), Failure> {
    let client = Client::connect(host).await?;
    let mut errors = Vec::new();
    for reference in references {
        match client.revoke_token(reference).await {
            Ok(()) => out::line(reference)?,
            Err(error) => errors.push(error),
        }
    }
    exit::all(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(ends_at: Option<i64>, uses_max: Option<u32>) -> Token {
        let (role, standing) = ("manager", "good");
        Token { id: "t".into(), role, standing, created_at: 0, ends_at, uses: 1, uses_max }
    }

    const HOUR: i64 = 3_600_000_000_000;

    #[test]
    fn a_new_token_says_what_ends_it() {
        for (ends_at, uses_max, text) in [
            (None, None, "any number of nodes until it is revoked. "),
            (Some(6 * HOUR), Some(1), "one node for 6 hours. "),
            (Some(30_000_000_000), Some(3), "3 nodes for 30 seconds. "),
        ] {
            let said = lasting(&token(ends_at, uses_max));
            assert!(said.contains(text) && said.ends_with("revoke t'."), "{said}");
        }
    }

    #[test]
    fn a_list_says_how_often_a_token_was_used_and_when_it_ends() {
        for (ends_at, uses_max, uses, expires) in [
            (None, None, "1", "never"),
            (Some(7 * HOUR), Some(2), "1/2", "in 6 hours"),
            (Some(HOUR), Some(2), "1/2", "Less than a second ago"),
        ] {
            let row = row(token(ends_at, uses_max), HOUR);
            let cells = row.cells.iter().map(String::as_str).collect::<Vec<_>>();
            assert_eq!(cells, ["t", "manager", "good", uses, expires, "About an hour ago"]);
        }
    }
}

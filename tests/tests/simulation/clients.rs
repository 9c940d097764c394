//! Clients of one manager, in its own process: their calls are known even if the manager dies under them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use vault::manager::{Asked, Draft, Manager, NextVersion};
use vault_core::labels::Labels;
use vault_core::name::SecretName;
use vault_core::request::RequestId;
use vault_core::seal::Plaintext;
use vault_core::versioned::{Class, VersionLimit};

use crate::history::{Answer, Call, What};
use crate::stage::{below, lock, once_in, stage};

/// Configs that are written and read.
pub const KEYS: usize = 5;
/// Clients of each manager.
const CLIENTS: usize = 2;
/// What a client waits for an answer before it goes on.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two calls of a client, in milliseconds at most.
const PAUSE_MS: u64 = 60;

fn name(key: usize) -> String {
    format!("register-{key}")
}

/// Makes the registers: the first version of each has the value zero, which no client writes.
pub async fn create(manager: &Manager) -> Result<(), String> {
    for key in 0..KEYS {
        let draft = Draft {
            name: SecretName::parse(&name(key)).expect("it is a name"),
            labels: Labels::default(),
            limit: VersionLimit::parse(100).expect("it is a limit"),
            value: Plaintext::new(b"0".to_vec()),
        };
        let start = stage().moment();
        let made = manager.create(Asked::default(), Class::Config, vec![draft]).await;
        let made = made.map_err(|error| format!("no register is made: {error}"))?;
        let answer = Some(Answer { version: 1, index: made.index });
        let (end, what) = (stage().moment(), What::Write { value: 0, answer });
        lock(&stage().calls).push(Call { client: 0, manager: 0, key, start, end, what });
    }
    Ok(())
}

/// Starts clients that write and read until all is over, or their manager dies.
pub fn start(manager: &Arc<Manager>, node: usize) {
    for number in 0..CLIENTS {
        let number = node * CLIENTS + number;
        tokio::spawn(Client { manager: Arc::clone(manager), node, number }.work());
    }
}

/// One client.
struct Client {
    manager: Arc<Manager>,
    node: usize,
    number: usize,
}

impl Client {
    async fn work(self) {
        while !stage().is_over.load(Ordering::Relaxed) {
            let key = usize::try_from(below(KEYS as u64)).expect("it is small");
            if once_in(3) {
                self.write(key).await;
            } else {
                self.read(key).await;
            }
            sleep(Duration::from_millis(below(PAUSE_MS))).await;
        }
    }

    fn call(&self, key: usize, start: u64, what: What) -> Call {
        Call { client: self.number, manager: self.node, key, start, end: u64::MAX, what }
    }

    /// Writes a value that nobody wrote before.
    async fn write(&self, key: usize) {
        let value = stage().values.fetch_add(1, Ordering::Relaxed);
        let at = {
            let mut calls = lock(&stage().calls);
            calls.push(self.call(key, stage().moment(), What::Write { value, answer: None }));
            calls.len() - 1
        };
        let id = || [fate::number().to_le_bytes(), fate::number().to_le_bytes()].concat();
        let request = once_in(2).then(|| RequestId(id().try_into().expect("twice eight")));
        let answer = if request.is_some() && once_in(2) {
            self.rotate_twice(key, value, request).await
        } else {
            self.rotate(key, value, request).await
        };
        let Some(answer) = answer else { return };
        stage().acknowledged.fetch_add(1, Ordering::Relaxed);
        stage().note(|| format!("client {} wrote {value}: {answer:?}", self.number));
        let mut calls = lock(&stage().calls);
        calls[at].what = What::Write { value, answer: Some(answer) };
        calls[at].end = stage().moment();
    }

    async fn rotate(&self, key: usize, value: u64, request: Option<RequestId>) -> Option<Answer> {
        let next = NextVersion {
            reference: name(key),
            value: Plaintext::new(value.to_string().into_bytes()),
            expected: None,
        };
        let asked = Asked { request, ..Asked::default() };
        let writing = self.manager.rotate(asked, Class::Config, vec![next], true, None);
        let changed = timeout(PATIENCE, writing).await.ok()?.ok()?;
        Some(Answer { version: changed.numbers[0], index: changed.index })
    }

    /// One request that is sent twice, as by a client that lost patience: it acts once.
    async fn rotate_twice(
        &self,
        key: usize,
        value: u64,
        request: Option<RequestId>,
    ) -> Option<Answer> {
        let both = tokio::join!(self.rotate(key, value, request), self.rotate(key, value, request));
        if let (Some(one), Some(other)) = both
            && one.version != other.version
        {
            stage().wrong(format!("one request made {one:?} and {other:?}"));
        }
        both.0.or(both.1)
    }

    /// Reads what a register holds.
    async fn read(&self, key: usize) {
        let start = stage().moment();
        let Ok(Ok(view)) = timeout(PATIENCE, self.manager.read()).await else { return };
        let Ok(config) = vault::manager::lookup(&view.state, Class::Config, &name(key)) else {
            return stage().wrong(format!("register {key} is gone"));
        };
        let version = config.current_version().expect("a register has a current version");
        let opened = match self.manager.open_version(Class::Config, config.id, version) {
            Ok(opened) => opened,
            // The key of its epoch is on its way here.
            Err(error) => {
                return stage().note(|| format!("client {}: {error}", self.number));
            }
        };
        let text = std::str::from_utf8(opened.expose()).expect("it is text");
        let value = text.parse().expect("it is a number");
        let answer = Answer { version: version.number, index: view.applied_index() };
        stage().note(|| format!("client {} read {value}: {answer:?}", self.number));
        let what = What::Read { value, answer };
        let call = Call { end: stage().moment(), ..self.call(key, start, what) };
        lock(&stage().calls).push(call);
    }
}

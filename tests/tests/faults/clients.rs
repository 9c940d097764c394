//! Clients that write and read a few configs through any manager, and note what they did and were told.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use prost::Message;
use tests::disk::chance::Chance;
use tests::messages::{
    CreateValuesRequest, CreateValuesResponse, InspectValueRequest, InspectValueResponse, NewValue,
    NewVersion, RotateValuesRequest, RotateValuesResponse, ValueSpec,
};
use tests::{Node, Wire};

use super::history::{Answer, Call, What};

/// Configs that are written and read.
pub const KEYS: usize = 6;
const CLIENTS: usize = 6;
/// What a client waits for an answer before it goes on.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two calls of a client: the search for an order takes short histories.
const PAUSE: Duration = Duration::from_millis(15);
/// How long the first write may take once nothing is in the way any more.
const PROGRESS: Duration = Duration::from_secs(30);

/// Lets clients go on while something happens. Gives what they did, and who did not go on afterwards.
pub fn during(nodes: &[Node], happens: impl FnOnce()) -> (Vec<Call>, Vec<String>) {
    let first = Client::new(nodes, 0, Instant::now());
    let (is_over, values, start) = (AtomicBool::new(false), AtomicU64::new(1), first.start);
    let calls = Mutex::new((0..KEYS).map(|key| first.create(key)).collect::<Vec<_>>());
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (is_over, values, calls) = (&is_over, &values, &calls);
            scope.spawn(move || {
                let own = Client::new(nodes, number, start).work(is_over, values);
                calls.lock().expect("no client panics").extend(own);
            });
        }
        happens();
        is_over.store(true, Ordering::Relaxed);
    });
    let mut calls = calls.into_inner().expect("no client panics");
    let mut stuck = Vec::new();
    let last = Client::new(nodes, CLIENTS, start);
    for key in 0..KEYS {
        match last.at_last(key, key % nodes.len(), &values) {
            Some(more) => calls.extend(more),
            None => stuck.push(format!("key {key}: no progress in {PROGRESS:?} without faults")),
        }
        for manager in 0..nodes.len() {
            match last.patiently(|| last.read(key, manager)) {
                Some(read) => calls.push(read),
                None => stuck.push(format!("manager {manager} reads nothing without faults")),
            }
        }
    }
    stuck.extend((0..KEYS).filter_map(|key| last.differs(key)));
    (calls, stuck)
}

struct Client {
    number: usize,
    wires: Vec<Wire>,
    start: Instant,
}

fn name(key: usize) -> String {
    format!("register-{key}")
}

fn micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).expect("no run takes so long")
}

impl Client {
    fn new(nodes: &[Node], number: usize, start: Instant) -> Self {
        Self { number, wires: nodes.iter().map(Wire::lazy).collect(), start }
    }

    /// The first version of each has the value zero, which no client writes.
    fn create(&self, key: usize) -> Call {
        let spec = Some(ValueSpec { name: name(key) });
        let value = NewValue { spec, value: b"0".to_vec(), version_limit: 100 };
        let request = CreateValuesRequest { values: vec![value], request_id: Vec::new() };
        let path = "/coffer.v1.Configs/Create";
        let start = micros(self.start);
        let made = self.wires[0].call_within(PROGRESS, path, request.encode_to_vec());
        let made = made.expect("it answers in time").expect("it is made");
        let made = CreateValuesResponse::decode(&made[..]).expect("it reads");
        let answer = Some(Answer { version: 1, index: made.index });
        let (what, end) = (What::Write { value: 0, answer }, micros(self.start));
        Call { client: self.number, manager: 0, key, start, end, what }
    }

    fn work(self, is_over: &AtomicBool, values: &AtomicU64) -> Vec<Call> {
        let mut chance = Chance::new(0x1234_5678 + self.number as u64 * 77);
        let mut calls = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            let (key, manager) = (chance.below(KEYS), chance.below(self.wires.len()));
            if chance.below(3) == 0 {
                let value = values.fetch_add(1, Ordering::Relaxed);
                calls.push(self.write(key, manager, value, chance.bytes(), chance.toss()));
            } else {
                calls.extend(self.read(key, manager));
            }
            thread::sleep(PAUSE);
        }
        calls
    }

    /// Writes; without an answer, perhaps sends the very same request to the next manager.
    fn write(
        &self,
        key: usize,
        manager: usize,
        value: u64,
        request_id: [u8; 16],
        is_sent_again: bool,
    ) -> Call {
        let text = value.to_string().into_bytes();
        let version = NewVersion { reference: name(key), value: text, expected: 0 };
        let request = RotateValuesRequest {
            versions: vec![version],
            keep_pending: false,
            label: String::new(),
            request_id: request_id.to_vec(),
        };
        let start = micros(self.start);
        let send = |manager: usize| {
            let (path, bytes) = ("/coffer.v1.Configs/Rotate", request.encode_to_vec());
            let answer = self.wires[manager].call_within(PATIENCE, path, bytes)?.ok()?;
            let answer = RotateValuesResponse::decode(&answer[..]).ok()?;
            Some(Answer { version: *answer.numbers.first()?, index: answer.index })
        };
        let again = || if is_sent_again { send((manager + 1) % self.wires.len()) } else { None };
        let answer = send(manager).or_else(again);
        let end = if answer.is_some() { micros(self.start) } else { u64::MAX };
        let what = What::Write { value, answer };
        Call { client: self.number, manager, key, start, end, what }
    }

    fn read(&self, key: usize, manager: usize) -> Option<Call> {
        let request = InspectValueRequest { reference: name(key) };
        let (path, bytes) = ("/coffer.v1.Configs/Inspect", request.encode_to_vec());
        let start = micros(self.start);
        let answer = self.wires[manager].call_within(PATIENCE, path, bytes)?.ok()?;
        let end = micros(self.start);
        let answer = InspectValueResponse::decode(&answer[..]).ok()?;
        let config = answer.value?;
        let value = std::str::from_utf8(&config.data).ok()?.parse().ok()?;
        let answer = Answer { version: config.current, index: answer.index };
        let what = What::Read { value, answer };
        Some(Call { client: self.number, manager, key, start, end, what })
    }

    /// Whether managers hold different things now that nobody writes.
    fn differs(&self, key: usize) -> Option<String> {
        let request = InspectValueRequest { reference: name(key) };
        let path = "/coffer.v1.Configs/Inspect";
        let held = self.wires.iter().map(|wire| {
            self.patiently(|| {
                let answer = wire.call_within(PATIENCE, path, request.encode_to_vec())?.ok()?;
                InspectValueResponse::decode(&answer[..]).ok()?.value
            })
        });
        let held: Vec<_> = held.collect();
        let is_same = held.iter().all(|one| *one == held[0]);
        (!is_same).then(|| format!("managers hold different things as key {key}: {held:?}"))
    }

    /// Writes until it is taken. What had no answer before counts, too.
    fn at_last(&self, key: usize, manager: usize, values: &AtomicU64) -> Option<Vec<Call>> {
        let mut calls = Vec::new();
        self.patiently(|| {
            let value = values.fetch_add(1, Ordering::Relaxed);
            let id = tests::scratch::random_number().to_le_bytes().repeat(2);
            let id = id.try_into().expect("twice eight");
            calls.push(self.write(key, manager, value, id, false));
            calls.last().and_then(Call::answer)
        })?;
        Some(calls)
    }

    fn patiently<T>(&self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        let start = Instant::now();
        while start.elapsed() < PROGRESS {
            let found = look();
            if found.is_some() {
                return found;
            }
            thread::sleep(PAUSE);
        }
        None
    }
}

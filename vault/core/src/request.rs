//! Answers that were given lately: a request that is sent again gets the same answer and acts once.

use imbl::{OrdMap, Vector};

use crate::command::Outcome;
use crate::limits::REQUESTS_KEPT;

/// Sixteen random bytes that the client chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub [u8; 16]);

/// The last answers, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requests {
    answers: OrdMap<RequestId, Outcome>,
    /// The order in which they came. Invariant: the keys of `answers`, each once.
    order: Vector<RequestId>,
}

impl Requests {
    /// The answer that was given to this request, if it is remembered.
    pub fn answer(&self, id: RequestId) -> Option<&Outcome> {
        self.answers.get(&id)
    }

    /// Remembers an answer, and forgets the oldest past the bound.
    pub fn remember(&mut self, id: RequestId, outcome: Outcome) {
        if self.answers.insert(id, outcome).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > REQUESTS_KEPT {
            if let Some(oldest) = self.order.pop_front() {
                self.answers.remove(&oldest);
            }
        }
    }

    /// All remembered answers, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (RequestId, &Outcome)> {
        self.order.iter().filter_map(|id| Some((*id, self.answers.get(id)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_answer_is_forgotten_past_the_bound() {
        let mut requests = Requests::default();
        let id = |n: usize| RequestId(u128::try_from(n).unwrap().to_le_bytes());
        for n in 0..=REQUESTS_KEPT {
            requests.remember(id(n), Outcome::Done);
        }
        assert_eq!(requests.answer(id(0)), None);
        assert_eq!(requests.answer(id(1)), Some(&Outcome::Done));
        assert_eq!(requests.iter().count(), REQUESTS_KEPT);
    }
}

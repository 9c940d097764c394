//! Secrets and configs with their versions, by the same code for both.

use std::collections::BTreeMap;

use proto::v1;
use proto::v1::configs_server::Configs;
use proto::v1::secrets_server::Secrets;
use tonic::Request;
use tonic::Status;

use super::Answer;
use super::Answers;
use super::CREATED_AT;
use super::Kept;
use super::answer;

/// One secret or config.
#[derive(Clone, Default)]
pub(crate) struct Stored {
    pub(crate) id: String,
    pub(crate) spec: v1::ValueSpec,
    pub(crate) version_index: u64,
    pub(crate) version_limit: u32,
    pub(crate) values: BTreeMap<u32, Vec<u8>>,
    /// Label to number.
    pub(crate) tags: BTreeMap<String, u32>,
    /// Set by a test: version, service, tasks.
    pub(crate) holders: Vec<(u32, String, u64)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Secret,
    Config,
}

impl Class {
    fn word(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Config => "config",
        }
    }

    fn shelf(self, kept: &mut Kept) -> &mut BTreeMap<String, Stored> {
        match self {
            Self::Secret => &mut kept.secrets,
            Self::Config => &mut kept.configs,
        }
    }

    fn find<'a>(self, kept: &'a mut Kept, reference: &str) -> Result<&'a mut Stored, Status> {
        let is_meant = |stored: &&mut Stored| {
            stored.spec.name.eq_ignore_ascii_case(reference) || stored.id.starts_with(reference)
        };
        let missing = || Status::not_found(format!("{} {reference} not found", self.word()));
        self.shelf(kept).values_mut().find(is_meant).ok_or_else(missing)
    }
}

impl Stored {
    fn wire(&self, class: Class, with_versions: bool) -> v1::Value {
        let current = self.tags["current"];
        let version = |(number, value): (&u32, &Vec<u8>)| v1::Version {
            number: *number,
            created_at: CREATED_AT,
            labels: self
                .tags
                .iter()
                .filter(|tag| tag.1 == number)
                .map(|tag| tag.0.clone())
                .collect(),
            size: u64::try_from(value.len()).expect("it fits"),
        };
        let data = if class == Class::Config { self.values[&current].clone() } else { Vec::new() };
        let holder = |(version, service, tasks): &(u32, String, u64)| v1::Holder {
            version: *version,
            service: service.clone(),
            tasks: *tasks,
        };
        v1::Value {
            id: self.id.clone(),
            version_index: self.version_index,
            created_at: CREATED_AT,
            updated_at: CREATED_AT,
            spec: Some(self.spec.clone()),
            current,
            versions: self.values.iter().filter(|_| with_versions).map(version).collect(),
            version_limit: self.version_limit,
            data,
            holders: self.holders.iter().map(holder).collect(),
        }
    }

    fn make_current(&mut self, number: u32) {
        if let Some(before) = self.tags.insert("current".to_owned(), number) {
            self.tags.insert("previous".to_owned(), before);
        }
        self.tags.retain(|label, at| label != "pending" || *at != number);
    }

    fn refuse_stale(&self, expected: u64) -> Result<(), Status> {
        if expected == 0 || expected == self.version_index {
            Ok(())
        } else {
            Err(Status::unknown("update out of sequence"))
        }
    }

    fn passes(&self, filter: &v1::Filter) -> bool {
        let name = self.spec.name.to_lowercase();
        match filter.key.as_str() {
            "id" => self.id.starts_with(&filter.value),
            "names" => name == filter.value.to_lowercase(),
            "label" => match filter.value.split_once('=') {
                Some((key, value)) => self.spec.labels.get(key).is_some_and(|found| found == value),
                None => self.spec.labels.contains_key(&filter.value),
            },
            _ => name.starts_with(&filter.value.to_lowercase()),
        }
    }
}

fn known(class: Class, filters: &[v1::Filter]) -> Result<(), Status> {
    let known = |key: &str| {
        ["id", "name", "label"].contains(&key) || (key == "names" && class == Class::Secret)
    };
    match filters.iter().find(|filter| !known(&filter.key)) {
        Some(filter) => Err(Status::invalid_argument(format!("invalid filter '{}'", filter.key))),
        None => Ok(()),
    }
}

impl Answers {
    fn create_values(
        &self,
        class: Class,
        request: v1::CreateValuesRequest,
    ) -> Answer<v1::CreateValuesResponse> {
        let mut kept = self.kept();
        let shelf = class.shelf(&mut kept);
        let mut after = shelf.clone();
        let mut ids = Vec::new();
        for new in request.values {
            let spec = new.spec.unwrap_or_default();
            let id = format!("{:025}", after.len());
            let stored = Stored {
                id: id.clone(),
                spec: spec.clone(),
                version_index: 11,
                version_limit: new.version_limit,
                values: BTreeMap::from([(1, new.value)]),
                tags: BTreeMap::from([("current".to_owned(), 1)]),
                holders: Vec::new(),
            };
            if after.insert(spec.name.clone(), stored).is_some() {
                let text = format!("{} {} already exists", class.word(), spec.name);
                return Err(Status::already_exists(text));
            }
            ids.push(id);
        }
        *shelf = after;
        answer(v1::CreateValuesResponse { ids, index: 11 })
    }

    /// One object a page, so that every list has pages.
    fn list_values(
        &self,
        class: Class,
        request: v1::ListValuesRequest,
    ) -> Answer<v1::ListValuesResponse> {
        known(class, &request.filters)?;
        let mut kept = self.kept();
        let mut rest = class.shelf(&mut kept).iter().filter(|(name, stored)| {
            **name > request.after && request.filters.iter().all(|filter| stored.passes(filter))
        });
        let first = rest.next();
        let next = first.filter(|_| rest.next().is_some()).map(|(name, _)| name.clone());
        let values = first.map(|(_, stored)| stored.wire(class, false)).into_iter().collect();
        answer(v1::ListValuesResponse { values, next: next.unwrap_or_default(), index: 11 })
    }

    fn inspect_value(
        &self,
        class: Class,
        request: v1::InspectValueRequest,
    ) -> Answer<v1::InspectValueResponse> {
        let mut kept = self.kept();
        let found = class.find(&mut kept, &request.reference)?.wire(class, true);
        answer(v1::InspectValueResponse { value: Some(found), index: 11 })
    }

    fn remove_value(
        &self,
        class: Class,
        request: v1::RemoveValueRequest,
    ) -> Answer<v1::ChangeResponse> {
        let mut kept = self.kept();
        let name = class.find(&mut kept, &request.reference)?.spec.name.clone();
        class.shelf(&mut kept).remove(&name);
        answer(v1::ChangeResponse { index: 12 })
    }

    fn rotate_values(
        &self,
        class: Class,
        request: v1::RotateValuesRequest,
    ) -> Answer<v1::RotateValuesResponse> {
        let mut kept = self.kept();
        for new in &request.versions {
            class.find(&mut kept, &new.reference)?.refuse_stale(new.expected)?;
        }
        let mut numbers = Vec::new();
        for new in request.versions {
            let stored = class.find(&mut kept, &new.reference)?;
            let number = stored.values.keys().last().copied().unwrap_or(0) + 1;
            stored.values.insert(number, new.value);
            stored.version_index += 1;
            if request.keep_pending {
                stored.tags.insert("pending".to_owned(), number);
            } else {
                stored.make_current(number);
            }
            if !request.label.is_empty() {
                stored.tags.insert(request.label.clone(), number);
            }
            numbers.push(number);
        }
        answer(v1::RotateValuesResponse { numbers, index: 12 })
    }

    fn activate_values(
        &self,
        class: Class,
        request: v1::ActivateValuesRequest,
    ) -> Answer<v1::ChangeResponse> {
        let mut kept = self.kept();
        let mut numbers = Vec::new();
        for one in &request.values {
            let stored = class.find(&mut kept, &one.reference)?;
            let version = if one.version.is_empty() { "pending" } else { &one.version };
            let number = version.parse().ok().or_else(|| stored.tags.get(version).copied());
            let missing = || {
                let (word, name) = (class.word(), &stored.spec.name);
                Status::not_found(format!("{word} {name} has no version {version}"))
            };
            numbers.push(number.ok_or_else(missing)?);
        }
        for (one, number) in request.values.iter().zip(numbers) {
            class.find(&mut kept, &one.reference)?.make_current(number);
        }
        answer(v1::ChangeResponse { index: 12 })
    }

    fn roll_values_back(
        &self,
        class: Class,
        request: v1::RollbackValuesRequest,
    ) -> Answer<v1::ChangeResponse> {
        let mut kept = self.kept();
        for reference in &request.references {
            let stored = class.find(&mut kept, reference)?;
            let missing = || Status::failed_precondition(format!("{reference} has no previous"));
            let previous = stored.tags.get("previous").copied().ok_or_else(missing)?;
            stored.make_current(previous);
        }
        answer(v1::ChangeResponse { index: 12 })
    }

    fn destroy_version(
        &self,
        class: Class,
        request: v1::DestroyVersionRequest,
    ) -> Answer<v1::ChangeResponse> {
        let mut kept = self.kept();
        let stored = class.find(&mut kept, &request.reference)?;
        if !request.force && stored.holders.iter().any(|(held, ..)| *held == request.number) {
            return Err(Status::failed_precondition("it is held"));
        }
        match stored.values.remove(&request.number) {
            Some(_) => answer(v1::ChangeResponse { index: 12 }),
            None => Err(Status::not_found(format!("no version {}", request.number))),
        }
    }

    fn update_value(
        &self,
        class: Class,
        request: v1::UpdateValueRequest,
    ) -> Answer<v1::ChangeResponse> {
        let mut kept = self.kept();
        let stored = class.find(&mut kept, &request.reference)?;
        stored.refuse_stale(request.expected)?;
        if let Some(labels) = request.labels {
            stored.spec.labels = labels.labels;
        }
        if request.version_limit != 0 {
            stored.version_limit = request.version_limit;
        }
        answer(v1::ChangeResponse { index: 12 })
    }
}

/// The same nine calls for each of the two services.
macro_rules! answers_as {
    ($service:ident, $class:expr, $($call:ident: $request:ident => $response:ident by $by:ident;)*) => {
        #[tonic::async_trait]
        impl $service for Answers {
            $(async fn $call(&self, request: Request<v1::$request>) -> Answer<v1::$response> {
                self.$by($class, request.into_inner())
            })*
        }
    };
    ($service:ident, $class:expr) => {
        answers_as! {
            $service, $class,
            create: CreateValuesRequest => CreateValuesResponse by create_values;
            list: ListValuesRequest => ListValuesResponse by list_values;
            inspect: InspectValueRequest => InspectValueResponse by inspect_value;
            remove: RemoveValueRequest => ChangeResponse by remove_value;
            rotate: RotateValuesRequest => RotateValuesResponse by rotate_values;
            activate: ActivateValuesRequest => ChangeResponse by activate_values;
            rollback: RollbackValuesRequest => ChangeResponse by roll_values_back;
            destroy: DestroyVersionRequest => ChangeResponse by destroy_version;
            update: UpdateValueRequest => ChangeResponse by update_value;
        }
    };
}

answers_as!(Secrets, Class::Secret);
answers_as!(Configs, Class::Config);

//! `Secrets` and `Configs`: the same calls on two classes. What is written here once is served twice.

use proto::v1;
use tonic::{Request, Response, Status};
use vault_core::command::UpdateObject;
use vault_core::filter::Filters;
use vault_core::labels::Labels;
use vault_core::limits::BATCH_MAX;
use vault_core::name::Named;
use vault_core::seal::Plaintext;
use vault_core::versioned::{Class, VersionLabel, VersionLimit, VersionRef};

use super::convert::{self, RequestError, asked, needed};
use super::{fresh, status};
use crate::daemon::Daemon;
use crate::manager::{Changed, Draft, NextVersion, lookup};

/// The answer of a call that only changes something.
type Answer = Result<Response<v1::ChangeResponse>, Status>;

fn answer(changed: Changed) -> Response<v1::ChangeResponse> {
    let Changed { index, objects, .. } = changed;
    convert::touching(v1::ChangeResponse { index }, objects)
}

fn bounded<T>(many: Vec<T>) -> Result<Vec<T>, RequestError> {
    match many.len() {
        0 => Err(RequestError::Missing { field: "values" }),
        count if count > BATCH_MAX => Err(RequestError::Batch { count }),
        _ => Ok(many),
    }
}

pub(super) async fn create(
    daemon: &Daemon,
    class: Class,
    request: Request<v1::CreateValuesRequest>,
) -> Result<Response<v1::CreateValuesResponse>, Status> {
    let asked = asked(&request, &request.get_ref().request_id);
    let values = request.into_inner().values;
    let draft = |value: v1::NewValue| {
        let v1::NewValue { spec, value, version_limit } = value;
        // Taken over first: from here on the value is wiped whatever happens.
        let value = Plaintext::new(value);
        let (name, labels) = convert::value_spec(needed("spec", spec)?)?;
        let value = value.checked(class)?;
        let limit = match version_limit {
            0 => VersionLimit::default(),
            versions => VersionLimit::parse(versions)?,
        };
        Ok::<_, RequestError>(Draft { name, labels, limit, value })
    };
    let drafts: Result<Vec<_>, _> =
        bounded(values).and_then(|values| values.into_iter().map(draft).collect());
    let checked = asked.and_then(|asked| Ok((asked, drafts?)));
    let (asked, drafts) = checked.map_err(|error| status::of_request(&error))?;
    let manager = daemon.manager().map_err(|error| status::of_call(&error))?;
    let made = manager.create(asked, class, drafts).await;
    let Changed { index, objects, .. } = made.map_err(|error| status::of_call(&error.into()))?;
    let ids = objects.iter().map(ToString::to_string).collect();
    Ok(convert::touching(v1::CreateValuesResponse { ids, index }, objects))
}

pub(super) async fn list(
    daemon: &Daemon,
    class: Class,
    request: Request<v1::ListValuesRequest>,
) -> Result<Response<v1::ListValuesResponse>, Status> {
    let freshness = fresh::of(&request);
    let request = request.into_inner();
    let (after, limit) = convert::page(request.limit, &request.after);
    let pairs = request.filters.iter().map(|filter| (filter.key.as_str(), filter.value.as_str()));
    let filters =
        Filters::parse(class, pairs).map_err(|error| status::of_request(&error.into()))?;
    let (manager, view) =
        daemon.view_as(freshness).await.map_err(|error| status::of_call(&error))?;
    let objects = view.state.of_class(class).page(after.as_ref(), usize::MAX);
    let wanted = objects.filter(|one| filters.admit(one.id, &one.folded(), &one.labels));
    let mut page = convert::Page::of(limit);
    for object in wanted {
        let mut value = convert::value(&view.state, object);
        if class == Class::Config {
            value.data = convert::data(&manager, object)?;
        }
        if !page.push(object.name.as_str(), value) {
            break;
        }
    }
    let (values, next) = page.finish();
    Ok(Response::new(v1::ListValuesResponse { values, next, index: view.state.index() }))
}

pub(super) async fn inspect(
    daemon: &Daemon,
    class: Class,
    request: Request<v1::InspectValueRequest>,
) -> Result<Response<v1::InspectValueResponse>, Status> {
    let freshness = fresh::of(&request);
    let reference = request.into_inner().reference;
    let (manager, view) =
        daemon.view_as(freshness).await.map_err(|error| status::of_call(&error))?;
    let object = lookup(&view.state, class, &reference);
    let object = object.map_err(|refusal| status::of_refusal(&refusal))?;
    let mut value = convert::value_with_versions(&view.state, object);
    if class == Class::Config {
        value.data = convert::data(&manager, object)?;
    }
    let index = view.state.index();
    let response = v1::InspectValueResponse { value: Some(value), index };
    Ok(convert::touching(response, vec![object.id]))
}

pub(super) async fn remove(
    daemon: &Daemon,
    class: Class,
    request: Request<v1::RemoveValueRequest>,
) -> Answer {
    let asked = asked(&request, &[]).map_err(|error| status::of_request(&error))?;
    let manager = daemon.manager().map_err(|error| status::of_call(&error))?;
    let removed = manager.remove(asked, class, &request.into_inner().reference).await;
    removed.map(answer).map_err(|error| status::of_call(&error.into()))
}

pub(super) async fn rotate(
    daemon: &Daemon,
    class: Class,
    request: Request<v1::RotateValuesRequest>,
) -> Result<Response<v1::RotateValuesResponse>, Status> {
    let asked = asked(&request, &request.get_ref().request_id);
    let v1::RotateValuesRequest { versions, keep_pending, label, .. } = request.into_inner();
    let next = |version: v1::NewVersion| {
        let value = Plaintext::new(version.value).checked(class)?;
        let expected = Some(version.expected).filter(|index| *index != 0);
        Ok::<_, RequestError>(NextVersion { reference: version.reference, value, expected })
    };
    let versions: Result<Vec<_>, _> =
        bounded(versions).and_then(|versions| versions.into_iter().map(next).collect());
    let label = (!label.is_empty()).then(|| VersionLabel::parse_own(&label)).transpose();
    let checked = asked.and_then(|asked| Ok((asked, versions?, label?)));
    let (asked, versions, label) = checked.map_err(|error| status::of_request(&error))?;
    let manager = daemon.manager().map_err(|error| status::of_call(&error))?;
    let rotated = manager.rotate(asked, class, versions, !keep_pending, label).await;
    let changed = rotated.map_err(|error| status::of_call(&error.into()))?;
    let Changed { index, objects, numbers } = changed;
    Ok(convert::touching(v1::RotateValuesResponse { numbers, index }, objects))
}

pub(super) async fn activate(
    daemon: &Daemon,
    class: Class,
    request: Request<v1::ActivateValuesRequest>,
) -> Answer {
    let asked = asked(&request, &[]);
    let target = |one: v1::ActivateValue| {
        let version = match one.version.as_str() {
            "" => VersionRef::Label(VersionLabel::pending()),
            text => VersionRef::parse(text)?,
        };
        Ok::<_, RequestError>((one.reference, version))
    };
    let targets: Result<Vec<_>, _> = bounded(request.into_inner().values)
        .and_then(|values| values.into_iter().map(target).collect());
    let checked = asked.and_then(|asked| Ok((asked, targets?)));
    let (asked, targets) = checked.map_err(|error| status::of_request(&error))?;
    let manager = daemon.manager().map_err(|error| status::of_call(&error))?;
    let activated = manager.activate(asked, class, targets).await;
    activated.map(answer).map_err(|error| status::of_call(&error.into()))
}

pub(super) async fn rollback(
    daemon: &Daemon,
    class: Class,
    request: Request<v1::RollbackValuesRequest>,
) -> Answer {
    let asked = asked(&request, &[]);
    let references = bounded(request.into_inner().references);
    let checked = asked.and_then(|asked| Ok((asked, references?)));
    let (asked, references) = checked.map_err(|error| status::of_request(&error))?;
    let manager = daemon.manager().map_err(|error| status::of_call(&error))?;
    let back = manager.rollback(asked, class, &references).await;
    back.map(answer).map_err(|error| status::of_call(&error.into()))
}

pub(super) async fn destroy(
    daemon: &Daemon,
    class: Class,
    request: Request<v1::DestroyVersionRequest>,
) -> Answer {
    let asked = asked(&request, &[]).map_err(|error| status::of_request(&error))?;
    let manager = daemon.manager().map_err(|error| status::of_call(&error))?;
    let v1::DestroyVersionRequest { reference, number, force } = request.into_inner();
    let destroyed = manager.destroy(asked, class, &reference, (number, force)).await;
    destroyed.map(answer).map_err(|error| status::of_call(&error.into()))
}

pub(super) async fn update(
    daemon: &Daemon,
    class: Class,
    request: Request<v1::UpdateValueRequest>,
) -> Answer {
    let asked = asked(&request, &[]);
    let v1::UpdateValueRequest { reference, expected, labels, version_limit } =
        request.into_inner();
    let checked = asked.and_then(|asked| {
        let labels = labels.map(|labels| Labels::parse(labels.labels)).transpose()?;
        let limit = (version_limit != 0).then(|| VersionLimit::parse(version_limit)).transpose()?;
        Ok((asked, labels, limit))
    });
    let (asked, labels, limit) = checked.map_err(|error| status::of_request(&error))?;
    let manager = daemon.manager().map_err(|error| status::of_call(&error))?;
    let expected = Some(expected).filter(|index| *index != 0);
    let change = |id| UpdateObject { id, expected, labels, limit };
    let updated = manager.update(asked, class, &reference, change).await;
    updated.map(answer).map_err(|error| status::of_call(&error.into()))
}

/// Serves one class under its own name.
macro_rules! serve {
    ($service:path, $class:expr) => {
        #[tonic::async_trait]
        impl $service for Daemon {
            async fn create(
                &self,
                request: Request<v1::CreateValuesRequest>,
            ) -> Result<Response<v1::CreateValuesResponse>, Status> {
                create(self, $class, request).await
            }

            async fn list(
                &self,
                request: Request<v1::ListValuesRequest>,
            ) -> Result<Response<v1::ListValuesResponse>, Status> {
                list(self, $class, request).await
            }

            async fn inspect(
                &self,
                request: Request<v1::InspectValueRequest>,
            ) -> Result<Response<v1::InspectValueResponse>, Status> {
                inspect(self, $class, request).await
            }

            async fn remove(&self, request: Request<v1::RemoveValueRequest>) -> Answer {
                remove(self, $class, request).await
            }

            async fn rotate(
                &self,
                request: Request<v1::RotateValuesRequest>,
            ) -> Result<Response<v1::RotateValuesResponse>, Status> {
                rotate(self, $class, request).await
            }

            async fn activate(&self, request: Request<v1::ActivateValuesRequest>) -> Answer {
                activate(self, $class, request).await
            }

            async fn rollback(&self, request: Request<v1::RollbackValuesRequest>) -> Answer {
                rollback(self, $class, request).await
            }

            async fn destroy(&self, request: Request<v1::DestroyVersionRequest>) -> Answer {
                destroy(self, $class, request).await
            }

            async fn update(&self, request: Request<v1::UpdateValueRequest>) -> Answer {
                update(self, $class, request).await
            }
        }
    };
}

serve!(v1::secrets_server::Secrets, Class::Secret);
serve!(v1::configs_server::Configs, Class::Config);

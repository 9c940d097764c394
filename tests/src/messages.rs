//! Some of the messages of `coffer.v1`, as far as tests speak them: written out here, so that a test does not
//! believe the product's own reading of them.

use prost::Message;

/// `KeyStatusResponse` and `RotateKeysResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct KeyStatusResponse {
    #[prost(message, optional, tag = "1")]
    pub status: Option<KeyStatus>,
    #[prost(uint64, tag = "2")]
    pub index: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct KeyStatus {
    #[prost(uint32, tag = "1")]
    pub epoch: u32,
    #[prost(uint64, tag = "2")]
    pub values_left: u64,
    #[prost(uint32, repeated, tag = "3")]
    pub epochs_kept: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ValueSpec {
    #[prost(string, tag = "1")]
    pub name: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct NewValue {
    #[prost(message, optional, tag = "1")]
    pub spec: Option<ValueSpec>,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
    #[prost(uint32, tag = "3")]
    pub version_limit: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct CreateValuesRequest {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<NewValue>,
    #[prost(bytes = "vec", tag = "2")]
    pub request_id: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct CreateValuesResponse {
    #[prost(string, repeated, tag = "1")]
    pub ids: Vec<String>,
    #[prost(uint64, tag = "2")]
    pub index: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct NewVersion {
    #[prost(string, tag = "1")]
    pub reference: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
    #[prost(uint64, tag = "3")]
    pub expected: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct RotateValuesRequest {
    #[prost(message, repeated, tag = "1")]
    pub versions: Vec<NewVersion>,
    #[prost(bool, tag = "2")]
    pub keep_pending: bool,
    #[prost(string, tag = "3")]
    pub label: String,
    #[prost(bytes = "vec", tag = "4")]
    pub request_id: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct RotateValuesResponse {
    #[prost(uint32, repeated, tag = "1")]
    pub numbers: Vec<u32>,
    #[prost(uint64, tag = "2")]
    pub index: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct InspectValueRequest {
    #[prost(string, tag = "1")]
    pub reference: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct InspectValueResponse {
    #[prost(message, optional, tag = "1")]
    pub value: Option<Value>,
    #[prost(uint64, tag = "2")]
    pub index: u64,
}

/// A secret or config.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(uint64, tag = "2")]
    pub version_index: u64,
    #[prost(uint32, tag = "6")]
    pub current: u32,
    #[prost(message, repeated, tag = "7")]
    pub versions: Vec<Version>,
    #[prost(bytes = "vec", tag = "9")]
    pub data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Version {
    #[prost(uint32, tag = "1")]
    pub number: u32,
    #[prost(uint64, tag = "4")]
    pub size: u64,
}

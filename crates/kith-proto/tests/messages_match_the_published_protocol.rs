//! Our `.proto` files are our own; every name, number and type in them must be LiveKit's.
//!
//! The published `livekit-protocol` crate carries LiveKit's files. It is a dependency that is never built; cargo knows
//! where its sources lie.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::{path::PathBuf, process::Command};

use kith_proto::json::DESCRIPTORS;
use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

fn published() -> DescriptorPool {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let package = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|package| package["name"] == "livekit-protocol")
        .expect("livekit-protocol is a dev-dependency");
    let files = PathBuf::from(package["manifest_path"].as_str().unwrap())
        .with_file_name("protocol/protobufs");
    let set = protox::compile(["livekit_rtc.proto", "livekit_room.proto"], [files]).unwrap();
    DescriptorPool::from_file_descriptor_set(set).unwrap()
}

fn describe(field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(values) => values.full_name().to_owned(),
        scalar => format!("{scalar:?}"),
    };
    let oneof = field
        .containing_oneof()
        .map(|oneof| oneof.name().to_owned());
    format!(
        "{} = {}: {kind}, {:?}, packed {}, presence {}, oneof {oneof:?}, json {}",
        field.name(),
        field.number(),
        field.cardinality(),
        field.is_packed(),
        field.supports_presence(),
        field.json_name(),
    )
}

fn compare_messages(ours: &MessageDescriptor, theirs: &MessageDescriptor, wrong: &mut Vec<String>) {
    let name = ours.full_name();
    for field in theirs.fields() {
        match ours.get_field(field.number()) {
            None => wrong.push(format!("{name} lacks {}", describe(&field))),
            Some(our) if describe(&our) != describe(&field) => {
                wrong.push(format!(
                    "{name}: {} should be {}",
                    describe(&our),
                    describe(&field)
                ));
            }
            Some(_) => {}
        }
    }
    for field in ours
        .fields()
        .filter(|field| theirs.get_field(field.number()).is_none())
    {
        wrong.push(format!("{name} has too much: {}", describe(&field)));
    }
}

fn compare_enums(ours: &EnumDescriptor, theirs: &EnumDescriptor, wrong: &mut Vec<String>) {
    let values = |descriptor: &EnumDescriptor| {
        let mut values: Vec<_> = descriptor
            .values()
            .map(|value| (value.number(), value.name().to_owned()))
            .collect();
        values.sort();
        values
    };
    if values(ours) != values(theirs) {
        wrong.push(format!(
            "{}: {:?} should be {:?}",
            ours.full_name(),
            values(ours),
            values(theirs)
        ));
    }
}

#[test]
fn every_message_and_enum_is_the_published_one() {
    let ours = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let theirs = published();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for message in ours
        .all_messages()
        .filter(|message| message.package_name() == "livekit")
    {
        compared += 1;
        match theirs.get_message_by_name(message.full_name()) {
            Some(their) => compare_messages(&message, &their, &mut wrong),
            None => wrong.push(format!("{} is not published", message.full_name())),
        }
    }
    for values in ours
        .all_enums()
        .filter(|values| values.package_name() == "livekit")
    {
        compared += 1;
        match theirs.get_enum_by_name(values.full_name()) {
            Some(their) => compare_enums(&values, &their, &mut wrong),
            None => wrong.push(format!("{} is not published", values.full_name())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        compared > 150,
        "only {compared} messages and enums were compared"
    );
}

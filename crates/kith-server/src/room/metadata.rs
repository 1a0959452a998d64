//! A participant's name, metadata and attributes.

use std::collections::BTreeMap;

use kith_proto::livekit::{
    RequestResponse, UpdateParticipantMetadata,
    request_response::{Reason, Request},
    signal_response,
};

use super::{ParticipantId, state::Room};

/// Bytes of all keys and values.
pub(super) fn attributes_size(attributes: &BTreeMap<String, String>) -> usize {
    attributes
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum()
}

/// `attributes` with `changes`: an empty value deletes its key.
fn merged(
    attributes: &BTreeMap<String, String>,
    changes: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut merged = attributes.clone();
    for (key, value) in changes {
        if value.is_empty() {
            merged.remove(key);
        } else {
            merged.insert(key.clone(), value.clone());
        }
    }
    merged
}

impl Room {
    /// A client changes what is told about it. It is answered in every case: SDKs wait for that.
    pub(super) fn on_update_metadata(
        &mut self,
        id: ParticipantId,
        request: UpdateParticipantMetadata,
    ) {
        let settings = &self.shared.settings;
        let exceeds = |size: usize, limit: usize| limit > 0 && size > limit;
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        let attributes = merged(&participant.who.attributes, &request.attributes);
        let refusal = if !participant.permission.can_update_metadata {
            Some((
                Reason::NotAllowed,
                "does not have permission to update own metadata",
            ))
        } else if exceeds(request.name.len(), settings.max_name_length) {
            Some((Reason::LimitExceeded, "exceeds name length limit"))
        } else if exceeds(request.metadata.len(), settings.max_metadata_size) {
            Some((Reason::LimitExceeded, "exceeds metadata size limit"))
        } else if exceeds(attributes_size(&attributes), settings.max_attributes_size) {
            Some((Reason::LimitExceeded, "exceeds attributes size limit"))
        } else {
            None
        };
        if let Some((reason, text)) = refusal {
            self.refuse_request(id, reason, text, Some(Request::UpdateMetadata(request)));
            return;
        }
        let who = &mut participant.who;
        let mut changed = who.attributes != attributes;
        who.attributes = attributes;
        for (own, new) in [
            (&mut who.name, &request.name),
            (&mut who.metadata, &request.metadata),
        ] {
            if !new.is_empty() && own != new {
                own.clone_from(new);
                changed = true;
            }
        }
        if changed {
            self.changed(id);
            self.announce();
            self.send_refresh_token(id);
        }
        self.send(
            id,
            signal_response::Message::RequestResponse(RequestResponse {
                request_id: request.request_id,
                reason: Reason::Ok as i32,
                message: String::new(),
                request: Some(Request::UpdateMetadata(request)),
            }),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_deletes_its_key() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let merged = merged(
            &map(&[("a", "1"), ("b", "2")]),
            &map(&[("a", ""), ("c", "3")]),
        );
        assert_eq!(merged, map(&[("b", "2"), ("c", "3")]));
        assert_eq!(attributes_size(&merged), 4);
    }
}

//! The sections of our offers, from one offer to the next.

use crate::{MediaKind, OfferSection, OfferState, SenderSpec, limits};

/// Why a plan does not take a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// [`crate::MAX_SECTIONS`] sections are in use.
    #[error("MAX_SECTIONS = {0} sections are in use")]
    Full(usize),
    /// Only audio and video sections are sent in.
    #[error("only audio and video sections are sent in")]
    NotMedia,
}

/// The sections of our offers on one peer connection.
///
/// **Sections are only appended or reused**: an offer never has fewer sections than the one before, none changes its
/// place, mid or kind (RFC 9429 section 5.2.2), and data is the first section of all offers.
#[derive(Clone, Debug, Default)]
pub struct OfferPlan {
    sections: Vec<OfferSection>,
}

impl OfferPlan {
    /// A plan with the data section only (or with nothing, when `data` is false).
    pub fn new(data: bool) -> Self {
        let mut plan = OfferPlan::default();
        if data {
            plan.sections.push(OfferSection {
                mid: "0".to_owned(),
                kind: MediaKind::Application,
                codecs: Vec::new(),
                extensions: Vec::new(),
                state: OfferState::Data,
            });
        }
        plan
    }

    /// Sends `spec` in the first free section of this kind, or in a new one. Returns its mid.
    pub fn add(&mut self, kind: MediaKind, spec: SenderSpec) -> Result<String, PlanError> {
        if !matches!(kind, MediaKind::Audio | MediaKind::Video) {
            return Err(PlanError::NotMedia);
        }
        let free = self
            .sections
            .iter_mut()
            .find(|section| section.kind == kind && section.state == OfferState::Inactive);
        if let Some(section) = free {
            section.state = OfferState::Send(spec);
            return Ok(section.mid.clone());
        }
        if self.sections.len() >= limits::MAX_SECTIONS {
            return Err(PlanError::Full(limits::MAX_SECTIONS));
        }
        let mid = self.sections.len().to_string();
        self.sections.push(OfferSection {
            mid: mid.clone(),
            kind,
            codecs: crate::standard_codecs(kind),
            extensions: crate::standard_extensions(kind),
            state: OfferState::Send(spec),
        });
        Ok(mid)
    }

    /// Stops sending in a section and frees it for another track. Returns whether it was in use.
    pub fn remove(&mut self, mid: &str) -> bool {
        match self.sections.iter_mut().find(|section| section.mid == mid) {
            Some(section) if matches!(section.state, OfferState::Send(_)) => {
                section.state = OfferState::Inactive;
                true
            }
            _ => false,
        }
    }

    /// What is sent in a section, to change it in place.
    pub fn sender_mut(&mut self, mid: &str) -> Option<&mut SenderSpec> {
        self.sections
            .iter_mut()
            .find(|section| section.mid == mid)
            .and_then(|section| match &mut section.state {
                OfferState::Send(spec) => Some(spec),
                OfferState::Inactive | OfferState::Data => None,
            })
    }

    /// The sections, as [`crate::offer`] takes them.
    pub fn sections(&self) -> &[OfferSection] {
        &self.sections
    }
}

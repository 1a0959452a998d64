//! Replaces what is received, keeping what goes on.

use std::time::Instant;

use super::audio_level::AudioLevelMeter;
use super::bindings::Binding;
use super::layer::Layer;
use super::receiver::TransportReceiver;
use super::section::{MAX_LAYERS, Section};
use crate::spec::{LayerSpec, ReceiveSection, ReceiveSpec};

/// Sections that are looked at. A publisher has a handful; with three encodings each, and all their tables full, this
/// bounds the receiver's memory to about 6 MiB.
const MAX_SECTIONS: usize = 256;

impl TransportReceiver {
    pub(super) fn apply(&mut self, now: Instant, spec: &ReceiveSpec) {
        self.extensions = (&spec.extensions).into();
        self.audio_level = spec.audio_level;
        self.pli_throttle = spec.pli_throttle;

        let mut former: Vec<Option<Layer>> = self.layers.drain(..).map(Some).collect();
        let former_sections = std::mem::take(&mut self.sections);
        self.bindings.clear();
        self.news.clear();
        for section in spec.sections.iter().take(MAX_SECTIONS) {
            let former_section = former_sections
                .iter()
                .find(|former| *former.mid == *section.mid.as_bytes());
            let range = former_section.map_or(0..0, |section| section.layers.clone());
            let former = former.get_mut(range).unwrap_or_default();
            self.add_section(now, section, former);
        }
        for index in 0..self.layers.len() {
            self.list_news(index);
        }
        // Timers of encodings that are gone fire once in vain; those of encodings that stay are armed still.
    }

    fn add_section(
        &mut self,
        now: Instant,
        section: &ReceiveSection,
        former: &mut [Option<Layer>],
    ) {
        let start = self.layers.len();
        let single = [LayerSpec::default()];
        let specs = if section.layers.is_empty() {
            &single[..]
        } else {
            &section.layers
        };
        for (spec, index) in specs.iter().take(MAX_LAYERS).zip(0u8..) {
            let mut former = former
                .iter_mut()
                .find(|former| {
                    former.as_ref().is_some_and(|former| match &spec.rid {
                        Some(_) => former.spec.rid == spec.rid,
                        None => former.spec.rid.is_none() && former.index == index,
                    })
                })
                .and_then(Option::take);
            let goes_on = former.as_ref().is_some_and(|former| {
                former.publication() == section.publication && former.kind() == section.kind
            });
            let position = self.layers.len();
            self.bind_layer(position, spec, former.as_ref());
            let mut layer = former
                .take_if(|_| goes_on)
                .unwrap_or_else(|| Layer::new(section.publication, section.kind, spec.clone()));
            layer.section = self.sections.len();
            layer.index = index;
            layer.spec = spec.clone();
            layer.listed = false;
            if !section.measure_audio_level {
                layer.meter = None;
            } else if layer.meter.is_none() {
                layer.meter = Some(Box::new(AudioLevelMeter::new(now)));
            }
            self.layers.push(layer);
        }
        self.sections
            .push(Section::new(section, start..self.layers.len()));
    }

    /// Binds the SSRCs that SDP declares and those that were in use until now. The latter stay bound even if the mid has
    /// become another publication: a sender that believes its mid to be known does not send it again.
    fn bind_layer(&mut self, layer: usize, spec: &LayerSpec, former: Option<&Layer>) {
        let mut bind = |ssrc, rtx| {
            if let Some(ssrc) = ssrc
                && self.bindings.get(ssrc).is_none()
            {
                self.bindings.bind(ssrc, Binding { layer, rtx });
            }
        };
        let current = former.and_then(|former| former.ssrc);
        let current_rtx = former.and_then(|former| former.rtx.map(|(rtx, _)| rtx));
        bind(current, false);
        bind(current_rtx, true);
        // A declaration that was overtaken by another SSRC before does not come back by being repeated.
        let repeated = |before: fn(&LayerSpec) -> Option<kith_rtp::Ssrc>| {
            former.is_some_and(|former| before(&former.spec) == before(spec))
        };
        if current.is_none() || !repeated(|spec| spec.ssrc) {
            bind(spec.ssrc, false);
        }
        if current_rtx.is_none() || !repeated(|spec| spec.rtx_ssrc) {
            bind(spec.rtx_ssrc, true);
        }
    }
}

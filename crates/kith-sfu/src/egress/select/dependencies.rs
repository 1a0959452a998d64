//! Layers by the dependency descriptor: decode targets and the chains that protect them (AV1 RTP payload specification,
//! appendix A).
//!
//! A decode target is switched to at a frame that says `Switch` for it, **provided no frame of the target's chain was
//! left out since the chain began**, nor a frame that this one refers to. That covers all structures alike: spatial layers that depend on each other (L3T3)
//! or only on key frames (L3T3_KEY), and those that do not (S3T3). Frames that are missing do not count as left out: the
//! publisher repeats them, or the subscriber asks for a key frame.

use kith_rtp::LayerId;
use kith_rtp::dependency_descriptor::DecodeTargetIndication;

use super::super::descriptor::{Dependencies, Structure};
use super::super::stored::{Flags, StoredPacket};
use super::Choice;
use super::recent::RecentFrames;

/// Frames to wait for a switching point before a key frame is asked for, when a smaller target is wanted or only another
/// frame rate: a few rounds of the usual temporal patterns.
const PATIENCE_DOWN: u8 = 8;
const PATIENCE_RATE: u8 = 30;

/// Selects a decode target.
#[derive(Clone, Copy, Debug)]
pub(super) struct TargetSelector {
    /// What is forwarded; `None` until the first frame that is understood.
    current: Option<u8>,
    layer: LayerId,
    /// The structure that `current` is of.
    structure: u16,
    wanted: Wanted,
    left_out: RecentFrames,
    /// One bit for each chain of which a frame was left out since it began.
    broken: u8,
    /// The frame being chosen for, and the choice.
    frame: Option<(u16, bool)>,
    /// Frames since what is forwarded and what is wanted differ.
    unsettled: u8,
}

/// The target that is wanted, and for which circumstances that was found out.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    structure: u16,
    limit: LayerId,
    active: u32,
    target: Option<u8>,
    layer: LayerId,
    /// All targets that are within the limit.
    fitting: u32,
}

impl Default for TargetSelector {
    fn default() -> Self {
        TargetSelector {
            current: None,
            layer: LayerId::default(),
            structure: 0,
            wanted: Wanted::default(),
            left_out: RecentFrames::default(),
            // No chain is whole before its beginning was seen.
            broken: u8::MAX,
            frame: None,
            unsettled: 0,
        }
    }
}

impl TargetSelector {
    pub(super) fn layer(&self) -> LayerId {
        self.layer
    }

    /// Chooses for a packet in order.
    pub(super) fn choose(
        &mut self,
        packet: &StoredPacket,
        dependencies: Option<&Dependencies>,
        structure: Option<&Structure>,
        limit: LayerId,
    ) -> Choice {
        let marker = packet.flags.has(Flags::MARKER);
        let Some(dependencies) = dependencies else {
            // No descriptor: it cannot be told apart from what came before.
            let forward = self.frame.is_none_or(|(_, forward)| forward);
            return Choice {
                forward,
                last_of_picture: forward && marker,
                ..Choice::default()
            };
        };
        let new_frame = self.frame.map(|(number, _)| number) != Some(dependencies.frame_number);
        let structure = structure.filter(|it| dependencies.is_of(it));
        let mut switched = false;
        if new_frame {
            let forward = match structure {
                Some(structure) => {
                    self.follow_chains(dependencies);
                    let before = self.current;
                    self.choose_target(packet, dependencies, structure, limit);
                    switched = before.is_some() && before != self.current;
                    self.current
                        .is_some_and(|target| dependencies.is_in(target.into()))
                }
                // Its structure was lost; the receiver may have a better memory.
                None => true,
            };
            if !forward {
                self.left_out.note(dependencies.frame_number);
            }
            self.frame = Some((dependencies.frame_number, forward));
        }
        let forward = self.frame.is_some_and(|(_, forward)| forward);
        let ends_here = packet.flags.has(Flags::FRAME_END) && packet.spatial == self.layer.spatial;
        let restricts = dependencies.active & !self.wanted_mask(structure) != 0;
        // Where a structure is attached all targets are active unless it is said otherwise.
        let signals = if dependencies.attaches_structure {
            restricts
        } else {
            switched
        };
        Choice {
            forward,
            last_of_picture: forward && (marker || ends_here),
            signal: self.current.filter(|_| forward && signals),
            new_frame,
        }
    }

    /// Whether a late packet belongs to what was forwarded.
    pub(super) fn wants_late(&mut self, dependencies: Option<&Dependencies>) -> bool {
        let Some(dependencies) = dependencies else {
            return true;
        };
        if self.left_out.has(dependencies.frame_number) {
            return false;
        }
        let wanted = self
            .current
            .is_none_or(|target| dependencies.is_in(target.into()));
        if !wanted {
            self.left_out.note(dependencies.frame_number);
        }
        wanted
    }

    /// Whether only a key frame leads to the target that is wanted.
    pub(super) fn is_stuck(&self) -> bool {
        if self.current == self.wanted.target {
            return false;
        }
        if self.wanted.layer.spatial > self.layer.spatial {
            return true;
        }
        let patience = if self.wanted.layer.spatial < self.layer.spatial {
            PATIENCE_DOWN
        } else {
            PATIENCE_RATE
        };
        self.unsettled >= patience
    }

    fn wanted_mask(&self, structure: Option<&Structure>) -> u32 {
        structure.map_or(u32::MAX, |it| it.targets_up_to(self.layer))
    }

    fn choose_target(
        &mut self,
        packet: &StoredPacket,
        dependencies: &Dependencies,
        structure: &Structure,
        limit: LayerId,
    ) {
        self.find_wanted(dependencies, structure, limit);
        if self.structure != structure.version() {
            // Another structure comes with a key frame: nothing before it counts.
            self.structure = structure.version();
            self.current = None;
        }
        let settled = self.current.is_some() && self.current == self.wanted.target;
        if settled {
            self.unsettled = 0;
            return;
        }
        let begins = packet.flags.has(Flags::KEYFRAME_START) || self.current.is_none();
        let fits_now = self
            .current
            .is_some_and(|target| self.wanted.fitting >> target & 1 != 0);
        let mut best = self.current.filter(|_| fits_now).map(|_| self.layer);
        let mut rest = self.wanted.fitting;
        while rest != 0 {
            let target = rest.trailing_zeros() as u8;
            rest &= rest - 1;
            let layer = structure.target_layer(target.into());
            if best.is_some_and(|best| order(layer) <= order(best)) {
                continue;
            }
            let possible = if begins {
                dependencies.is_in(target.into())
            } else {
                self.can_switch(dependencies, structure, target)
            };
            if possible {
                best = Some(layer);
                self.current = Some(target);
                self.layer = layer;
            }
        }
        if best.is_none() && self.layer.temporal > limit.temporal {
            self.slow_down(dependencies, structure, limit);
        }
        if self.current.is_none() {
            // The frame is in no target that fits; wait with the one that is wanted.
            self.current = self.wanted.target;
            self.layer = self.wanted.layer;
        }
        if self.current == self.wanted.target {
            self.unsettled = 0;
        } else {
            self.unsettled = self.unsettled.saturating_add(1);
        }
    }

    /// No target within the limit can be had yet: at least the frame rate is.
    fn slow_down(&mut self, dependencies: &Dependencies, structure: &Structure, limit: LayerId) {
        let slower = LayerId {
            spatial: self.layer.spatial,
            temporal: limit.temporal,
        };
        let mut rest = structure.targets_up_to(slower) & dependencies.active;
        while rest != 0 {
            let target = rest.trailing_zeros() as u8;
            rest &= rest - 1;
            let matches = structure.target_layer(target.into()) == slower;
            if matches && self.can_switch(dependencies, structure, target) {
                self.current = Some(target);
                self.layer = slower;
            }
        }
    }

    /// Finds out which chains are whole up to this frame.
    fn follow_chains(&mut self, dependencies: &Dependencies) {
        for (chain, diff) in dependencies.chain_diffs().iter().enumerate() {
            let before = dependencies.frame_number.wrapping_sub((*diff).into());
            if *diff == 0 {
                self.broken &= !(1 << chain);
            } else if self.left_out.has(before) || self.left_out.has_forgotten(before) {
                self.broken |= 1 << chain;
            }
        }
    }

    fn can_switch(&self, dependencies: &Dependencies, structure: &Structure, target: u8) -> bool {
        let indication = dependencies.indications.get(target.into());
        let number = dependencies.frame_number;
        if indication != DecodeTargetIndication::Switch
            || self.left_out.has_any(number, dependencies.references)
        {
            return false;
        }
        match structure.chain_of(target.into()) {
            Some(chain) => self.broken.checked_shr(chain.into()).unwrap_or(1) & 1 == 0,
            // Unprotected: only the frame rate can change without a key frame.
            None => structure.target_layer(target.into()).spatial == self.layer.spatial,
        }
    }

    fn find_wanted(&mut self, dependencies: &Dependencies, structure: &Structure, limit: LayerId) {
        let known = &self.wanted;
        if known.target.is_some()
            && known.structure == structure.version()
            && known.limit == limit
            && known.active == dependencies.active
        {
            return;
        }
        let within = structure.targets_up_to(limit);
        // If none of them is active, any active one is better than a black picture; the lowest then.
        let mut fitting = within & dependencies.active;
        if fitting == 0 {
            let lowest = dependencies.active & dependencies.active.wrapping_neg();
            fitting = if lowest != 0 { lowest } else { 1 };
        }
        let mut target = None;
        let mut best = LayerId::default();
        let mut rest = fitting;
        while rest != 0 {
            let candidate = rest.trailing_zeros() as u8;
            rest &= rest - 1;
            let layer = structure.target_layer(candidate.into());
            if target.is_none() || order(layer) > order(best) {
                target = Some(candidate);
                best = layer;
            }
        }
        self.wanted = Wanted {
            structure: structure.version(),
            limit,
            active: dependencies.active,
            target,
            layer: best,
            fitting,
        };
    }
}

/// Sharper is better than smoother.
fn order(layer: LayerId) -> (u8, u8) {
    (layer.spatial, layer.temporal)
}

// SPDX-License-Identifier: GPL-2.0
//! How much is read.

/// What of each reason is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// More than exits and cycles: nine exits more a reason that occurred.
    pub extras: bool,
    /// The histograms, which take most of the exits.
    pub histograms: bool,
    /// Whether each reason can occur: one exit more a reason.
    pub states: bool,
    /// What made the exits: six exits more a cause, of which there may be over a hundred.
    pub causes: bool,
}

impl Wanted {
    /// Everything but which reasons can occur.
    pub const ALL: Self = Self {
        extras: true,
        histograms: true,
        states: false,
        causes: false,
    };

    /// All figures but the histograms, which take most of the exits.
    pub const FIGURES: Self = Self {
        histograms: false,
        ..Self::ALL
    };

    /// Exits and cycles only.
    pub const LEAST: Self = Self {
        extras: false,
        histograms: false,
        states: false,
        causes: false,
    };
}

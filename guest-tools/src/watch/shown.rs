// SPDX-License-Identifier: GPL-2.0
//! What the table of the live screen is of.

use std::rc::Rc;

use crate::causes::names::Names;
use crate::host::Vcpu;
use crate::watch::Vcpus;

/// What the table is of; of reasons at first.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    of: Of,
    /// By what causes are named, once they were shown.
    names: Option<Rc<Names>>,
}

#[derive(Debug, Clone, Default)]
enum Of {
    #[default]
    Reasons,
    Vcpus(Vcpus),
    /// What made the exits, or why nobody knows.
    Causes(Option<String>),
}

impl Shown {
    /// Shows the vCPUs instead of the reasons, or the reasons again.
    pub fn toggle_vcpus(&mut self) {
        self.of = match self.of {
            Of::Vcpus(_) => Of::Reasons,
            _ => Of::Vcpus(Vcpus::default()),
        };
    }

    /// The vCPUs, if they are shown.
    pub fn vcpus(&self) -> Option<&Vcpus> {
        match &self.of {
            Of::Vcpus(vcpus) => Some(vcpus),
            _ => None,
        }
    }

    /// Takes the next reading of the vCPUs, if they are shown.
    pub fn update_vcpus(&mut self, now: Vec<Vcpu>) {
        if let Of::Vcpus(vcpus) = &mut self.of {
            vcpus.update(now);
        }
    }

    /// Shows what made the exits instead of the reasons, or the reasons again.
    pub fn toggle_causes(&mut self) {
        self.of = match self.of {
            Of::Causes(_) => Of::Reasons,
            _ => Of::Causes(None),
        };
    }

    /// Whether causes are shown, and the reason why that is not possible.
    pub fn causes(&self) -> Option<Option<&str>> {
        match &self.of {
            Of::Causes(problem) => Some(problem.as_deref()),
            _ => None,
        }
    }

    /// Says why there are no causes to show.
    pub fn lacks_causes(&mut self, problem: String) {
        self.of = Of::Causes(Some(problem));
    }

    /// By what causes are named.
    pub fn names(&self) -> Option<&Names> {
        self.names.as_deref()
    }

    /// Names causes by these from now on.
    pub fn name_by(&mut self, names: Names) {
        self.names = Some(Rc::new(names));
    }
}

//! What goes with `bench mnist` alone; in builds without its networks too, whose command line is the same.

/// Target points that few labels are spread to.
const SPREAD: usize = 20_000;

/// What goes with this benchmark alone.
#[derive(clap::Args, Clone)]
pub struct Args {
    /// mnist: which autoencoders: classes (they were told the classes in training) or images (they were not, as in the paper); with --labels-per-class the target's was
    /// never told [default: classes]
    #[arg(long, value_name = "KIND", value_enum)]
    pub latents: Option<Latents>,
    /// mnist: so many target images of each class have a label, the others take part without one [default: all]
    #[arg(long, value_name = "N")]
    pub labels_per_class: Option<usize>,
    /// mnist: with --labels-per-class: those labels are first spread along the cloud to this many target points; 0: not at all
    #[arg(long, value_name = "N", default_value_t = SPREAD)]
    pub spread: usize,
    /// mnist: shuffle the target's labels, to see that nothing leaks: accuracy must fall to chance
    #[arg(long)]
    pub permute_labels: bool,
    /// mnist: train autoencoders and classifiers anew, write them to the folder of results, and use them
    #[arg(long)]
    pub retrain: bool,
    /// mnist: which images the maps are judged on: the test images, or a tenth of the training images, which no fit then sees; test images are not read then. For the choice of settings
    #[arg(long, value_name = "IMAGES", value_enum, default_value_t = JudgeOn::Test)]
    pub judge_on: JudgeOn,
    /// mnist: without the fit of the energy distance alone, whose cost is shown beside
    #[arg(long)]
    pub no_ablation: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Latents {
    Classes,
    Images,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum JudgeOn {
    Test,
    HeldOutTraining,
}

impl Args {
    /// Whether any of these was given.
    pub fn given(&self) -> bool {
        self.latents.is_some()
            || self.labels_per_class.is_some()
            || self.spread != SPREAD
            || self.permute_labels
            || self.retrain
            || self.judge_on != JudgeOn::Test
            || self.no_ablation
    }
}

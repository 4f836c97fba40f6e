# shellcheck shell=bash
# shellcheck disable=SC2034 # run.sh and pipeline.sh read them
# The options of all recipes. A run.sh sources this file, sets the defaults that differ and options of its own, and then
# sources parse_options.sh.
options_files+=("${BASH_SOURCE[0]}")

stage=-1  # first stage to run
stop_stage=12  # last stage to run
nj=2  # parallel processes of stages 0 to 2, 4 and 10
dask=  # a Dask scheduler, its address or its file: stages 1, 2 and 4 use all of its workers, on any number of machines
ngpu=1  # processes of stages 5 and 8, each with a GPU if there are any, on each machine
dry_run=false  # show what each stage would do, and how long the trainings would take
gpu=  # with --dry-run true: a GPU that is not here, to project the trainings for: 4090, a100, h100, h200 or l40s

dl_dir=download  # the corpus
data_dir=data  # manifests, features, labels, language
exp_dir=exp  # models and results
on_the_fly=false  # compute features whenever they are read, rather than store them

km_iter=1  # rounds of K-means, labels and pre-training
pretrain_config=conf/pretrain.yaml  # settings of stage 5: a file, or several as A,B where later ones replace keys
pretrain_args=  # overrides of them
pretrained=  # folder of a model from elsewhere, to fine-tune that one: stages 3 to 5 are left out
unit=char  # what words are spelled with: char, bpe (sentencepiece) or phone
bpe_size=500  # number of units of --unit bpe
lexicon=  # pronunciations of --unit phone: a file in the layout of Kaldi's lexicon.txt, or cmudict for English
finetune_config=conf/finetune.yaml  # settings of stage 8, one file or several too
finetune_args=  # overrides of them
finetune_cuts=fbank  # what stages 8 and 9 read: a folder of the data dir, with cuts that have fbank, or tokens
scratch=true  # fine-tune the same model without pre-training too, to compare
side_by_side=true  # without a GPU, stages 8 and 9 train and run both models at the same time, on half of the cores each
scratch_args=  # overrides for the model without pre-training alone: its own best learning rate
avg=5  # last checkpoints to average
rescore=true  # rescore the lattices of stage 10 with a 4-gram
decode_args=  # beams of stage 10, if not the defaults

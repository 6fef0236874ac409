#!/bin/sh
# Prepares Multi30k English-German from raw text: RAW holds train, val and test_2016_flickr, each .en and .de.
# Usage: sh experiments/multi30k_en_de/prepare.sh RAW
set -eu
raw=${1:?the folder with train.en, train.de, val.en, ...}
python -m seqexp.preprocess corpus=parallel corpus.source_lang=en corpus.target_lang=de corpus.train="$raw/train" \
    corpus.valid="$raw/val" corpus.test="$raw/test_2016_flickr" subword=sentencepiece subword.vocabulary_size=8000 \
    destination=data-bin/multi30k

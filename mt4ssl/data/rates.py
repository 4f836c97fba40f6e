"""The time axis of everything: audio at 16 kHz, fbank and MFCC every 10 ms."""

SAMPLING_RATE = 16000
FBANK_SHIFT = 0.01  # seconds
FBANK_BINS = 80

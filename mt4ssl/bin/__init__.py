"""One module per verb: `python -m mt4ssl.bin.<verb>`."""

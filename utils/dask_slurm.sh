#!/usr/bin/env bash
# Starts a Dask scheduler and a worker for each core of a Slurm job, for run.sh --dask; submit it from the clone's folder.
#   sbatch --nodes 10 --cpus-per-task 32 utils/dask_slurm.sh
# The scheduler's file, dask-JOB.json in that folder, is there when it listens, and is removed with it.
#SBATCH --job-name=mt4ssl-dask
#SBATCH --output=dask-%j.log
#SBATCH --ntasks-per-node=1
set -euo pipefail
dask=$PWD/.venv/bin/dask
scheduler=$PWD/dask-${SLURM_JOB_ID:?submit this script with sbatch}.json
if [ ! -x "$dask" ]; then
  echo "dask_slurm.sh: $dask is missing: submit this from the clone's folder, after tools/setup.sh" >&2
  exit 1
fi
trap 'rm -f "$scheduler"' EXIT
"$dask" scheduler --scheduler-file "$scheduler" &
srun "$dask" worker --scheduler-file "$scheduler" --nworkers "${SLURM_CPUS_PER_TASK:-1}" --nthreads 1 --death-timeout 60

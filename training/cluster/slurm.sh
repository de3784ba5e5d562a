#!/bin/bash
# Two workers on two nodes of a Slurm cluster: sbatch training/cluster/slurm.sh. A sample: put in your numbers.
# The run folder must lie on a file system that all nodes share.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
# A task that dies ends all; the job is queued again and goes on from the last whole checkpoint.
hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/.*/"&:2222"/' | paste -sd,)
export CLUSTER="{\"cluster\": {\"worker\": [$hosts]}"
srun --kill-on-bad-exit=1 bash -c '
  export TF_CONFIG="$CLUSTER, \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
  exec python -m training.train --config multi30k_de_en \
    --data.data_dir "$HOME/data" --output "$HOME/runs/multi30k" --fit.num_devices 1
' || scontrol requeue "$SLURM_JOB_ID"
